# Says what puppet-lint says of a manifest. Started by lint.py, which asks one question after the other on standard input:
#
#   a line of JSON, {"path": text, "off": [check, …], "on": [check, …], "length": number}, then LENGTH octets
#
# Each answer is one line of JSON on standard output: {"problems": [[line, check, words], …]}, or {"fault": words} where
# puppet-lint has failed. Nothing is read but what it is asked about: no .puppet-lint.rc, no file of the manifest's name.

require 'json'
require 'stringio'
require 'puppet-lint'

MOST = 500 # problems that are told of one manifest
ANSWERS = $stdout.dup
$stdout = $stderr = StringIO.new # puppet-lint prints what it does not expect, and ends

CONFIGURATION = PuppetLint.configuration
USUAL = CONFIGURATION.checks.to_h { |check| [check.to_s, CONFIGURATION.send("#{check}_enabled?")] }.freeze

def answer(asked, text)
  wanted = USUAL.merge(asked['off'].to_h { |one| [one, false] }, asked['on'].to_h { |one| [one, true] })
  USUAL.each_key { |check| CONFIGURATION.send("#{wanted[check] ? 'enable' : 'disable'}_#{check}") }
  lint = PuppetLint.new
  lint.code = text
  lint.path = "/#{asked['path']}"
  lint.run
  found = lint.problems.reject { |one| one[:kind] == :ignored }.sort_by { |one| one[:line].to_i }
  { problems: found.first(MOST).map { |one| [one[:line].to_i, one[:check].to_s, one[:message].to_s] } }
rescue SystemExit, SystemStackError, StandardError
  { fault: 'puppet-lint fails over it' }
ensure
  $stdout.truncate(0)
  $stdout.rewind
end

$stdin.binmode
ANSWERS.puts(JSON.generate(version: PuppetLint::VERSION))
ANSWERS.flush
while (question = $stdin.gets)
  asked = JSON.parse(question)
  text = $stdin.read(asked['length']).force_encoding('UTF-8').delete_prefix("\uFEFF")
  ANSWERS.puts(JSON.generate(text.valid_encoding? ? answer(asked, text) : { fault: 'is not UTF-8' }))
  ANSWERS.flush
end
