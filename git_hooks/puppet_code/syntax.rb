# Says whether a file can be parsed: by Puppet's parser and validator, Ruby's own compiler, or Psych. Loaded by reader.rb,
# which describes the answers. Nothing is evaluated: Ruby and ERB are compiled, and the result is thrown away.

require 'date'
require 'erb'
require 'puppet/util/yaml'

module Syntax
  # A manifest, a plan, EPP, ERB, Ruby, YAML as Puppet loads it.
  KINDS = %w[pp! plan! epp! erb! rb! yaml!].freeze

  module_function

  # Returns {} where nothing is wrong, else the first thing that is: fault, line, column (each 0: not known).
  def look(kind, text)
    case kind
    when 'pp!' then puppet(Puppet::Pops::Parser::Parser, text, false)
    when 'plan!' then puppet(Puppet::Pops::Parser::Parser, text, true)
    when 'epp!' then puppet(Puppet::Pops::Parser::EppParser, text, false)
    when 'erb!' then erb(text)
    when 'rb!' then ruby(text, 1)
    when 'yaml!' then yaml(text)
    end
  end

  def puppet(parser, text, tasks)
    return wrong('is not UTF-8', text.scrub("\0").index("\0"), text) unless text.valid_encoding?
    Puppet[:tasks] = tasks
    parsed = parser.new.parse_string(text, 'code')
    return {} if parsed.nil?
    acceptor = Puppet::Pops::Validation::Acceptor.new
    Puppet::Pops::Validation::ValidatorFactory_4_0.new.validator(acceptor).validate(parsed.model)
    first = acceptor.errors.first
    return {} if first.nil?
    place = first.source_pos
    { fault: first.issue.format(first.arguments || {}), line: place&.line.to_i, column: place&.pos.to_i }
  rescue Puppet::Error => e
    words = e.respond_to?(:basic_message) ? e.basic_message : e.message
    { fault: words.sub(/ \(file: code\b.*\z/m, ''), line: number(e, :line), column: number(e, :pos) }
  ensure
    Puppet[:tasks] = false
  end

  def number(error, name)
    error.respond_to?(name) ? error.public_send(name).to_i : 0
  end

  # As Puppet::Util.create_erb, whatever Puppet's version. The program that ERB makes begins with a line of its own.
  def erb(text)
    found = ruby(ERB.new(text, trim_mode: '-').src, 0)
    found.empty? ? found : found.merge(column: 0)
  rescue ArgumentError => e # an encoding that nobody knows
    { fault: e.message, line: 1, column: 0 }
  end

  # The compiler's words are CODE:LINE: WORDS, then perhaps the line, with a caret below what it did not expect.
  def ruby(text, first_line)
    RubyVM::InstructionSequence.compile(text, 'code', 'code', first_line)
    {}
  rescue SyntaxError => e
    head, shown, caret = e.message.lines
    line, words = head.match(/\Acode:(\d+): (.*)/)&.captures
    return { fault: e.message.lines.first.to_s.strip, line: 0, column: 0 } if line.nil?
    whole = shown && text.lines[line.to_i - first_line].to_s.chomp == shown.chomp
    { fault: words, line: line.to_i, column: whole ? caret.to_s.index('^').to_i + 1 : 0 }
  end

  def yaml(text)
    YAML.safe_load(text, permitted_classes: [Symbol], aliases: true)
    {}
  rescue Psych::SyntaxError => e
    { fault: [e.problem, e.context].compact.join(' '), line: e.line.to_i, column: e.column.to_i }
  rescue Psych::DisallowedClass
    dated(text)
  rescue Psych::BadAlias, ArgumentError => e
    { fault: e.message, line: 0, column: 0 }
  end

  # Psych does not say where. What says of itself that it is more than data is for whoever reads it that way.
  def dated(text)
    scanner = Psych::ScalarScanner.new(Psych::ClassLoader.new)
    Psych.parse(text).each do |node|
      next unless node.is_a?(Psych::Nodes::Scalar) && !node.quoted && node.tag.nil?
      next unless [Date, Time].any? { |one| scanner.tokenize(node.value).is_a?(one) }
      words = "#{node.value} is a date, and Puppet refuses data files with dates; quote it"
      return { fault: words, line: node.start_line + 1, column: node.start_column + 1 }
    end
    {}
  end

  def wrong(words, at, text)
    before = text.scrub("\0")[0, at.to_i]
    { fault: words, line: before.count("\n") + 1, column: before.length - (before.rindex("\n") || -1) }
  end
end
