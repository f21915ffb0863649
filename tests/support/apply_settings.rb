# frozen_string_literal: true

# apply_settings.rb LIB: applies catalogs of puppetmaster_setting with the real puppet.
#
# stdin: JSON [[{"name": …, "value": …}, …], …], one list for each catalog.
# stdout: JSON list, how many resources each catalog changed.
require 'json'
require 'puppet'
require 'tmpdir'

$LOAD_PATH.unshift(ARGV.fetch(0))
rounds = JSON.parse($stdin.read)
Dir.mktmpdir do |place|
  Puppet.initialize_settings(['--confdir', place, '--vardir', place, '--logdest', 'console'])
  environment = Puppet::Node::Environment.create(:production, [])
  Puppet.override(current_environment: environment, loaders: Puppet::Pops::Loaders.new(environment)) do
    changed = rounds.map do |settings|
      catalog = Puppet::Resource::Catalog.new('one', environment)
      settings.each { |it| catalog.add_resource(Puppet::Type.type(:puppetmaster_setting).new(it.transform_keys(&:to_sym))) }
      report = catalog.apply.report
      raise "failed: #{report.logs.join("\n")}" if report.resource_statuses.values.any?(&:failed)

      report.resource_statuses.values.count(&:changed)
    end
    puts JSON.generate(changed)
  end
end
