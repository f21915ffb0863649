# Says what a manifest defines, and whether values are of a type. Loaded by reader.rb, which describes the answers.
# Nothing is evaluated: definitions are read from the model, types are interpreted as texts of types are.

require 'puppet'
require 'puppet/pops'

module Defined
  # A manifest, a plan; values that are to be of types.
  KINDS = %w[pp# plan#].freeze
  JUDGED = 'type?'.freeze
  LONGEST = 4096 # octets of a default or a comment's line that are told
  LONGEST_TYPE = 65_536
  LINES = 2000 # of one comment
  Model = Puppet::Pops::Model
  Types = Puppet::Pops::Types

  module_function

  def look(kind, text)
    Puppet[:tasks] = kind.start_with?('plan')
    parsed = Puppet::Pops::Parser::Parser.new.parse_string(text, 'code')
    return { defined: [] } if parsed.nil?
    lines = text.split("\n", -1)
    { defined: parsed.model.definitions.map { |one| definition(one, lines) }.compact }
  ensure
    Puppet[:tasks] = false
  end

  def definition(node, lines)
    what = case node
           when Model::HostClassDefinition then ['class', node.parent_class.to_s]
           when Model::ResourceTypeDefinition then ['defined type', '']
           when Model::PlanDefinition then ['plan', source(node.return_type)]
           when Model::FunctionDefinition then ['function', source(node.return_type)]
           when Model::TypeAlias then ['type', aliased(node.type_expr)]
           end
    return nil if what.nil?
    parameters = node.respond_to?(:parameters) ? node.parameters.map { |one| parameter(one) } : []
    [what[0], node.name, node.line.to_i, what[1], parameters, comment(node.line.to_i, lines)]
  end

  def parameter(node)
    default = node.value.nil? ? nil : bounded(source(node.value), LONGEST)
    [node.name, node.line.to_i, source(node.type_expr), default]
  end

  # The text of an expression. What is in front of `[` is no part of where the model says that an access begins.
  def source(node)
    return '' if node.nil?
    first, last = node.offset, node.offset + node.length
    front = node
    while front.is_a?(Model::AccessExpression) || front.is_a?(Model::CallMethodExpression)
      front = front.is_a?(Model::AccessExpression) ? front.left_expr : front.functor_expr.left_expr
      first = front.offset if front.offset < first
    end
    text = node.locator.extract_text(first, last - first).to_s.scrub.strip
    # Of `.name()` the model says that it ends at the first bracket.
    text += ')' if text.end_with?('(') && node.locator.extract_text(last, 64).to_s.scrub.lstrip.start_with?(')')
    bounded(text, LONGEST_TYPE)
  end

  def bounded(text, most)
    text.bytesize > most ? "#{text.byteslice(0, most).scrub('')}…" : text
  end

  # What an alias stands for: of an access there the model does not say where it ends.
  def aliased(node)
    return source(node) unless node.is_a?(Model::AccessExpression)
    bounded("#{source(node.left_expr)}[#{node.keys.map { |key| source(key) }.join(', ')}]", LONGEST_TYPE)
  end

  # The comment directly above, as puppet-strings takes it.
  def comment(line, lines)
    found = []
    at = line - 2
    while at >= 0 && found.length < LINES && (match = lines[at].strip.match(/\A#+ ?(.*)\z/m))
      found << match[1].scrub.byteslice(0, LONGEST).scrub('')
      at -= 1
    end
    found.reverse.join("\n")
  end

  # Type aliases that the question brings, as Puppet's loaders would find them. What it lacks is noted.
  class Aliases < Puppet::Pops::Loader::Loader
    attr_reader :unknown

    def initialize(texts)
      super('aliases', nil)
      @texts = texts
      @made = {}
      @unknown = []
    end

    def load(kind, name)
      return nil unless kind == :type
      key = name.to_s.downcase.delete_prefix('::')
      return @made[key] if @made.key?(key)
      text = @texts[key]
      if text.nil?
        @unknown |= [key]
        return nil
      end
      made = @made[key] = Types::PTypeAliasType.new(key, Puppet::Pops::Parser::Parser.new.parse_string(text).model.body)
      made.resolve(self)
    end
  end

  # {"aliases": {name: text}, "asked": [[text of a type, value], …]}, a value as `value` reads it.
  def judged(text)
    question = JSON.parse(text, max_nesting: false)
    { judged: question['asked'].map { |type, encoded| judge(type, value(encoded), question['aliases']) } }
  end

  # true, false, or nil where that cannot be told, with the names of unknown types.
  def judge(text, value, aliases)
    loader = Aliases.new(aliases)
    type = Types::TypeParser.singleton.parse(text, loader)
    return [nil, loader.unknown] unless loader.unknown.empty?
    [type.instance?(value) ? true : false, []]
  rescue Puppet::Error, ArgumentError, RegexpError, SystemStackError # types that stand for themselves, too
    [nil, []]
  end

  # Lists and mappings stand in objects, for keys may be numbers, too.
  def value(encoded)
    return encoded unless encoded.is_a?(Hash)
    return encoded['a'].map { |one| value(one) } if encoded.key?('a')
    encoded['h'].to_h { |key, one| [value(key), value(one)] }
  end
end
