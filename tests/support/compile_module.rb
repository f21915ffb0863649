# frozen_string_literal: true

# Compiles catalogs with the real puppet, for machines that are only facts.
#
# stdin: JSON {"modulepath": [DIR…], "cases": {NAME: {"facts": {…}, "trusted": {…}, "code": "…"}}}.
# stdout: JSON {NAME: {"catalog": {…}} or {"error": "…"}}.
require 'json'
require 'puppet'
require 'puppet_pal'
require 'tmpdir'

wanted = JSON.parse($stdin.read)
Dir.mktmpdir do |place|
  Puppet.initialize_settings(['--confdir', place, '--vardir', place, '--strict', 'error', '--strict_variables'])
  answers = wanted['cases'].transform_values do |one|
    certname = one['facts']['clientcert']
    trusted = Puppet::Context::TrustedInformation.new('remote', certname, one['trusted']['extensions'], one['trusted']['external'])
    catalog = Puppet.override(trusted_information: trusted) do
      Puppet::Pal.in_tmp_environment('production', modulepath: wanted['modulepath'], facts: one['facts']) do |pal|
        pal.with_catalog_compiler(code_string: one['code']) { |compiler| compiler.with_json_encoding(&:encode) }
      end
    end
    { 'catalog' => JSON.parse(catalog) }
  rescue Puppet::Error => e
    { 'error' => e.message }
  end
  puts JSON.generate(answers)
end
