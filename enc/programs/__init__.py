"""What each of our programs does alike: how it begins and ends, its log, time-outs, metrics, requests over HTTPS."""
