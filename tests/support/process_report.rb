# frozen_string_literal: true

# Hands reports to our report processor as puppetserver does, with what it would know of their senders.
#
# stdin: JSON {"processor": FILE, "vardir": DIR, "cases": [{"sender": …, "authenticated": …, "report": {…}}…]};
# without "sender", nothing is known. stdout: JSON, the messages of each case.
require 'json'
require 'puppet'

wanted = JSON.parse($stdin.read)
Puppet.initialize_settings(['--confdir', wanted['vardir'], '--vardir', wanted['vardir']])
load wanted['processor']
told = wanted['cases'].map do |one|
  logs = []
  Puppet::Util::Log.newdestination(Puppet::Test::LogCollector.new(logs))
  report = Puppet::Transaction::Report.new
  one['report'].each { |name, value| report.instance_variable_set("@#{name}", value) }
  known = {}
  if one.key?('sender')
    known[:trusted_information] =
      Puppet::Context::TrustedInformation.new(one['authenticated'], one['sender'], {})
  end
  begin
    Puppet.override(known) do
      report.extend(Puppet::Reports.report(:puppetmaster))
      report.process
    end
  rescue StandardError => e
    logs << e
  ensure
    Puppet::Util::Log.close_all
  end
  logs.map(&:to_s)
end
puts JSON.generate(told)
