# Says what Puppet code calls. Started by worker.py, which asks one question after the other on standard input:
#
#   KIND LENGTH SECONDS LF, then LENGTH octets (KIND: pp, epp or pp+; with ! one of syntax.rb, with ? of literals.rb)
#
# Each answer is one line of JSON on standard output: {"calls": [[line, name, [argument, …]], …]}, or
# {"fault": words, "line": number, "syntax": boolean} where Puppet cannot read the code; where it is not its syntax, the
# parser has failed, and another one might do better; with "late" it was not done after SECONDS. A name is null where it is computed; so is an
# argument that is no literal text. A block is an argument, the last. What is called as a method has what it is called on as its first argument.
# A type that stands for a class of Ruby, which Puppet loads by its name, is told as a call of Runtime. With pp+
# each call has a fourth value, a digest: of all statements up to its own in the class that it stands in, with the
# class's head; of all that it stands in, where that is another definition; else of the file's statements up to its own.
#
# With ! the answer only says whether the code can be parsed: {"calls": []}, or the first fault, with "column".
# With ? (literals.rb) it says which literal texts there are, and of what each is the value:
# {"calls": [], "texts": [[line, [name, …], text, whether it has its lines in the code], …]}
#
# Puppet's grammar and its validator, Ruby's compiler and Psych are all that is used: no environment, no autoloader, no
# settings of the machine, no evaluation.
# So nothing that a question holds is ever run.

require 'digest'
require 'json'
require 'puppet'
require 'puppet/pops'
require 'timeout'
require_relative 'syntax'

Model = Puppet::Pops::Model
require_relative 'literals'
LONGEST = 4096 # octets of a literal that is told; a longer one counts as computed

# Puppet 7 and 8 evaluate the callee of `name(…)` whatever it is, so each form that is no plain name is told as null.
def name_of(callee)
  callee = callee.right_expr if callee.is_a?(Model::NamedAccessExpression)
  callee.is_a?(Model::QualifiedName) ? callee.value : nil
end

# `Integer('7')`, `Foo[Bar]('7')`: a type is made, and a type's name cannot be that of a function.
def type?(callee)
  callee = callee.left_expr while callee.is_a?(Model::AccessExpression)
  callee.is_a?(Model::QualifiedReference)
end

def literal(expression)
  return nil unless expression.is_a?(Model::LiteralString) || expression.is_a?(Model::QualifiedName)
  text = expression.value
  text.bytesize <= LONGEST ? text : nil
end

def call(node)
  callee = node.functor_expr
  arguments = node.arguments
  arguments = [callee.left_expr, *arguments] if callee.is_a?(Model::NamedAccessExpression)
  told = arguments.map { |argument| literal(argument) }
  told << nil unless node.lambda.nil?
  [node.line.to_i, name_of(callee), told]
end

RUBY = /\A(?:::)?(?:runtime|pcore::.*)\z/.freeze # Pcore::RuntimeType.new('ruby', …) makes one, too

def calls(root)
  found = []
  waiting = [root]
  until waiting.empty?
    node = waiting.pop
    next if node.nil?
    found << call(node) if node.is_a?(Model::CallExpression) && !type?(node.functor_expr)
    found << [node.line.to_i, 'Runtime', [nil]] if node.is_a?(Model::QualifiedReference) && RUBY.match?(node.value)
    node._pcore_contents { |part| waiting << part }
  end
  found.sort_by(&:first)
end

PLACES = %w[locator offset length].freeze

# What a piece of the model says, wherever it stands.
def shape(value)
  case value
  when Model::PopsObject
    [value.class.name, shape(value._pcore_init_hash.reject { |name, _| PLACES.include?(name) })]
  when Hash then value.map { |name, one| [name.to_s, shape(one)] }
  when Array then value.map { |one| shape(one) }
  when String, Numeric, true, false, nil then value
  else [value.class.name, value.inspect]
  end
end

def statements(body)
  body.is_a?(Model::BlockExpression) ? body.statements : [body].compact
end

def placed(root)
  whole = Digest::SHA256.new
  statements(root.is_a?(Model::Program) ? root.body : root).flat_map do |statement|
    case statement
    when Model::HostClassDefinition then placed_in(statement)
    when Model::NodeDefinition then told(statement, whole << JSON.generate(shape(statement), max_nesting: 0))
    when Model::Definition then told(statement, Digest::SHA256.new << JSON.generate(shape(statement), max_nesting: 0))
    else told(statement, whole << JSON.generate(shape(statement), max_nesting: 0))
    end
  end
end

def placed_in(definition)
  all = Digest::SHA256.new << JSON.generate(shape(definition), max_nesting: 0)
  head = definition._pcore_init_hash.reject { |name, _| name == 'body' || PLACES.include?(name) }
  so_far = Digest::SHA256.new << JSON.generate(shape(head), max_nesting: 0)
  found = definition.parameters.flat_map { |one| told(one, all) }
  found + statements(definition.body).flat_map { |one| told(one, so_far << JSON.generate(shape(one), max_nesting: 0)) }
end

def told(part, digest)
  calls(part).map { |one| [*one, digest.hexdigest] }
end

PARSERS = { 'pp' => Puppet::Pops::Parser::Parser, 'epp' => Puppet::Pops::Parser::EppParser }.freeze
KEPT = PARSERS.transform_values(&:new)

# Stopped from outside of the parser, so that the process, whose start takes a hundred times as long, can go on.
def answer_within(kind, text, seconds)
  Timeout.timeout(seconds) { JSON.generate(answer(kind, text)) }
rescue Timeout::Error
  KEPT.merge!(PARSERS.transform_values(&:new)) # it was stopped somewhere
  JSON.generate(fault: "takes Puppet's parser more than #{seconds.round(1)} s", line: 0, syntax: false, late: true)
end

def answer(kind, text)
  if Syntax::KINDS.include?(kind)
    found = Syntax.look(kind, text)
    return found.empty? ? { calls: [] } : { syntax: true, **found }
  end
  return { fault: 'is not UTF-8', line: 0, syntax: true } unless text.valid_encoding?
  return { calls: [], texts: Literals.look(kind, text) } if Literals::KINDS.include?(kind)
  parsed = KEPT.fetch(kind.delete_suffix('+')).parse_string(text, 'code')
  return { calls: [] } if parsed.nil?
  model = parsed.respond_to?(:model) ? parsed.model : parsed
  { calls: kind.end_with?('+') ? placed(model) : calls(model) }
rescue Puppet::Error => e
  words = e.respond_to?(:basic_message) ? e.basic_message : e.message
  { fault: words, line: e.respond_to?(:line) ? e.line.to_i : 0, syntax: true }
rescue Psych::SyntaxError => e
  { fault: [e.problem, e.context].compact.join(' '), line: e.line.to_i, syntax: true }
rescue SystemStackError
  { fault: 'is nested too deeply to be read', line: 0, syntax: false }
rescue StandardError => e
  # Ruby's words may show the text, and with it a secret.
  return { fault: "cannot be read by Puppet: #{e.class}", line: 0, syntax: false } if Literals::KINDS.include?(kind)
  { fault: "cannot be read by Puppet: #{e.message.lines.first.to_s.strip[0, 300]}", line: 0, syntax: false }
end

$stdin.binmode
$stdout.binmode
Puppet::Util::Log.level = :crit
puts(JSON.generate(version: Puppet.version))
$stdout.flush
while (question = $stdin.gets)
  kind, length, seconds = question.split
  text = $stdin.read(length.to_i)
  # As Puppet reads a file: UTF-8, a byte order mark is no part of it.
  text = text.force_encoding('UTF-8').delete_prefix("\uFEFF") if text
  puts(answer_within(kind, text, seconds.to_f))
  $stdout.flush
end
