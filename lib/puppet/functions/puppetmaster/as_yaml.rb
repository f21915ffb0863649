# frozen_string_literal: true

require 'yaml'

# @summary A hash as a YAML document, with a first line that says who wrote it.
#
# stdlib has such a function too, but under names that differ from one of its
# releases to the next.
Puppet::Functions.create_function(:'puppetmaster::as_yaml') do
  # @param document What the file shall say.
  # @return [String] YAML of plain types only.
  # @example
  #   puppetmaster::as_yaml({ 'log' => { 'level' => 'debug' } })
  dispatch :as_yaml do
    param 'Hash[String, Data]', :document
    return_type 'String'
  end

  def as_yaml(document)
    body = document.empty? ? "{}\n" : document.to_yaml.delete_prefix("---\n")
    "# Written by Puppet (module puppetmaster).\n#{body}"
  end
end
