"""What all parts speak of: names, DNs, filters, records, environments, errors. Values without effects."""
