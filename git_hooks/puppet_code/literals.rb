# Says which literal texts code or data holds, and what each is the value of. Loaded by reader.rb, which describes the
# questions. Nothing is evaluated: what a call would give is not known, and is told as COMPUTED where it stands in a text.

module Literals
  # A manifest or plan, EPP, YAML (and JSON, which is nearly all YAML).
  KINDS = %w[pp? plan? epp? yaml?].freeze
  COMPUTED = "\uFFFC".freeze
  LONGEST = 16_384 # characters of a text that are told; a longer one is told up to there
  MOST = 50_000 # texts of one question
  # Keys whose value is the name of what stands beside it, under `value`.
  NAMING = %w[name key setting option variable parameter attribute].freeze
  UNNAMED = /[=:]|\A\S+ -|\bset /.freeze # a text that is nobody's value is told if it may have a setting in it
  # Calls that give back what they are given, or something that stands for it, for the named value: which arguments.
  GIVES = {
    'pick' => nil, 'pick_default' => nil, 'sensitive' => [0], 'unwrap' => [0], 'strip' => [0], 'chomp' => [0],
    'string' => [0], 'binary' => [0], 'join' => [0], 'flatten' => nil, 'base64' => [1], 'regsubst' => [0],
    'stdlib::base64' => [1], 'merge' => nil, 'deep_merge' => nil, 'downcase' => [0], 'upcase' => [0], 'unique' => [0],
    'any2array' => nil, 'then' => [], 'lest' => [], 'md5' => [0], 'sha1' => [0], 'sha256' => [0], 'stdlib::sha256' => [0],
    'node_encrypt' => [0], 'redact' => [0], 'shell_escape' => [0], 'stdlib::shell_escape' => [0], 'to_json' => [0],
    'to_yaml' => [0], 'stdlib::to_json' => [0], 'stdlib::to_yaml' => [0],
  }.freeze
  # Calls of which an argument is a password, whatever for.
  TAKES = {
    'pw_hash' => [0], 'stdlib::pw_hash' => [0], 'apache::pw_hash' => [0], 'mysql_password' => [0],
    'mysql::password' => [0], 'postgresql_password' => [1], 'postgresql::postgresql_password' => [1],
    'postgresql::postgresql_escape' => [], 'str2saltedsha512' => [0], 'str2saltedpbkdf2' => [0],
    'stdlib::str2saltedpbkdf2' => [0], 'bcrypt' => [0], 'htpasswd' => [1], 'ht_md5' => [0], 'node_encrypt' => [0],
    'openssl::pbkdf2' => [0],
  }.freeze
  # Look-ups: the argument that counts where nothing is found.
  LOOKUPS = { 'lookup' => [3], 'hiera' => [1], 'hiera_array' => [1], 'hiera_hash' => [1] }.freeze

  module_function

  # Returns [[line, [name, …], text, whether its lines are the source's], …]; the names of what encloses it come first.
  def look(kind, text)
    case kind
    when 'yaml?' then Data.new.look(text)
    else Code.new.look(kind, text)
    end
  end

  # One piece of Puppet code.
  class Code
    PARSERS = { 'epp?' => Puppet::Pops::Parser::EppParser }.freeze

    def look(kind, text)
      Puppet[:tasks] = kind == 'plan?'
      parsed = PARSERS.fetch(kind, Puppet::Pops::Parser::Parser).new.parse_string(text, 'code')
      @found = []
      visit(parsed.respond_to?(:model) ? parsed.model : parsed, []) unless parsed.nil?
      @found
    ensure
      Puppet[:tasks] = false
    end

    private

    # `names`: whose value the node is, as a whole or in part.
    def visit(node, names)
      case node
      when nil, Model::RenderStringExpression then nil # an EPP's own text is looked at as text
      when Model::LiteralString, Model::QualifiedName then tell(node, names, node.value) # a bare word is a text
      when Model::ConcatenatedString then concatenated(node, names)
      when Model::HeredocExpression then visit(node.text_expr, names)
      when Model::Parameter then visit(node.value, [node.name])
      when Model::AttributeOperation then visit(node.value_expr, [node.attribute_name])
      when Model::ResourceBody
        visit(node.title, [])
        pairs = node.operations.grep(Model::AttributeOperation).map { |one| [one.attribute_name, one.value_expr] }
        node.operations.each { |one| visit(one, []) unless told_as_value(pairs, one) }
      when Model::AssignmentExpression then assigned(node)
      when Model::LiteralHash
        pairs = node.entries.map { |one| [one.key.respond_to?(:value) ? one.key.value.to_s : '', one.value] }
        node.entries.each { |entry| entry(entry, names) unless told_as_value(pairs, entry) }
      when Model::LiteralList then node.values.each { |one| visit(one, names) }
      when Model::SelectorExpression
        visit(node.left_expr, [])
        node.selectors.each { |one| visit(one.value_expr, names) }
      when Model::IfExpression
        visit(node.test, [])
        visit(node.then_expr, names)
        visit(node.else_expr, names)
      when Model::CaseExpression
        visit(node.test, [])
        node.options.each { |one| visit(one.then_expr, names) }
      when Model::BlockExpression
        *all, last = node.statements
        all.each { |one| visit(one, []) }
        visit(last, names)
      when Model::ParenthesizedExpression then visit(node.expr, names)
      when Model::ArithmeticExpression
        visit(node.left_expr, names)
        visit(node.right_expr, names)
      when Model::CallNamedFunctionExpression then called(node, node.functor_expr, node.arguments, names)
      when Model::CallMethodExpression then method(node, names)
      when Model::QualifiedReference, Model::AccessExpression, Model::NodeDefinition, Model::ComparisonExpression
        node._pcore_contents { |part| visit(part, []) unless part.is_a?(Model::LiteralString) }
      else node._pcore_contents { |part| visit(part, []) }
      end
    end

    # `setting => 'password', value => …`: what is called value is that of what the other names.
    def told_as_value(pairs, one)
      return false if one.is_a?(Model::AttributesOperation)
      value = one.is_a?(Model::AttributeOperation) ? one.value_expr : one.value
      return false unless pairs.any? { |name, expression| name == 'value' && expression.equal?(value) }
      name = pairs.find { |key, expression| NAMING.include?(key) && expression.is_a?(Model::LiteralString) }
      return false if name.nil?
      visit(value, [name.last.value[0, 256]])
      true
    end

    def tell(node, names, text)
      return if text.empty? || (names.empty? && (node.is_a?(Model::QualifiedName) || !UNNAMED.match?(text)))
      raise Enough if @found.length >= MOST
      @found << [node.line.to_i, names, text[0, LONGEST], text.include?("\n") && written(node).include?("\n")]
    end

    def written(node)
      node.locator.extract_text(node.offset, node.length).to_s
    rescue StandardError
      ''
    end

    def concatenated(node, names)
      parts = node.segments.map { |part| part.is_a?(Model::LiteralString) ? part.value : COMPUTED }
      tell(node, names, parts.join)
      node.segments.each { |part| visit(part, []) unless part.is_a?(Model::LiteralString) }
    end

    def assigned(node)
      left = node.left_expr
      if left.is_a?(Model::LiteralList) && node.right_expr.is_a?(Model::LiteralList)
        left.values.zip(node.right_expr.values) do |to, from|
          named = to.is_a?(Model::VariableExpression) && to.expr.is_a?(Model::QualifiedName)
          visit(from, named ? [to.expr.value] : [])
        end
        return
      end
      name = left.is_a?(Model::VariableExpression) && left.expr.is_a?(Model::QualifiedName) ? [left.expr.value] : []
      visit(node.right_expr, name)
    end

    def entry(entry, names)
      key = entry.key
      case key
      when Model::LiteralString, Model::QualifiedName then visit(entry.value, [*names, key.value.to_s[0, 256]])
      else
        visit(key, [])
        visit(entry.value, names)
      end
    end

    def called(node, callee, arguments, names)
      name = callee.respond_to?(:value) ? callee.value.to_s.delete_prefix('::').downcase : ''
      given(name, arguments, names, callee.is_a?(Model::QualifiedReference))
      visit(node.lambda, [])
    end

    def method(node, names)
      access = node.functor_expr
      return node._pcore_contents { |part| visit(part, []) } unless access.is_a?(Model::NamedAccessExpression)
      name = access.right_expr.respond_to?(:value) ? access.right_expr.value.to_s : ''
      on = access.left_expr
      on = on.left_expr if name == 'new' && on.is_a?(Model::AccessExpression) # Sensitive[String].new
      sensitive = node.arguments.first.is_a?(Model::QualifiedReference) && node.arguments.first.value == 'sensitive'
      if name == 'convert_to' && sensitive
        visit(on, [*names, 'Sensitive'])
      elsif name == 'new' && on.is_a?(Model::QualifiedReference)
        given(on.value.to_s.downcase, node.arguments, names, true)
      else
        given(name, [on, *node.arguments], names, false)
      end
      visit(node.lambda, [])
    end

    def given(name, arguments, names, type)
      names = [*names, 'Sensitive'] if type && name == 'sensitive'
      keeps = GIVES.key?(name) ? GIVES[name] || (0...arguments.length).to_a : []
      takes = TAKES.fetch(name, [])
      default = LOOKUPS.fetch(name, [])
      key = default.any? && arguments.first.is_a?(Model::LiteralString) ? [arguments.first.value] : []
      arguments.each_with_index do |argument, at|
        if takes.include?(at) then visit(argument, [*names, 'password'])
        elsif keeps.include?(at) then visit(argument, names)
        elsif default.include?(at) then visit(argument, key)
        elsif default.any? && argument.is_a?(Model::LiteralHash) then options(argument, key)
        else visit(argument, [])
        end
      end
    end

    # lookup's: only what is given instead of a value that is not there is one.
    def options(hash, key)
      hash.entries.each do |entry|
        name = entry.key.respond_to?(:value) ? entry.key.value : nil
        if name == 'default_value' then visit(entry.value, key)
        elsif name == 'default_values_hash' then visit(entry.value, [])
        end
      end
    end
  end

  # One file of data. Psych's tree, without making values of it: an alias stays one.
  class Data
    def look(text)
      @found = []
      @anchors = {}
      Psych.parse_stream(text).children.each { |document| visit(document.root, []) }
      @found
    end

    private

    def visit(node, names)
      case node
      when Psych::Nodes::Mapping
        pairs = node.children.each_slice(2).to_a
        naming = pairs.find { |key, value| NAMING.include?(text(key)) && text(value) }
        pairs.each do |key, value|
          next visit(value, [text(naming.last)[0, 256]]) if naming && text(key) == 'value'
          named = key.is_a?(Psych::Nodes::Scalar) ? [*names, key.value.to_s[0, 256]] : names
          visit(key, []) unless key.is_a?(Psych::Nodes::Scalar)
          visit(value, named)
        end
      when Psych::Nodes::Sequence then node.children.each { |one| visit(one, names) }
      when Psych::Nodes::Scalar
        @anchors[node.anchor] = node if node.anchor
        tell(node, names)
      when Psych::Nodes::Alias
        at = @anchors[node.anchor]
        tell(at, names, node) if at
      end
    end

    def text(node)
      node.is_a?(Psych::Nodes::Scalar) ? node.value.to_s : nil
    end

    # Of plain scalars, numbers, truth values and nothing are no text.
    def tell(scalar, names, place = scalar)
      text = scalar.value.to_s
      return if text.empty?
      unless scalar.quoted || scalar.tag
        @scanner ||= Psych::ScalarScanner.new(Psych::ClassLoader.new)
        return if PLAIN.match?(text) && !@scanner.tokenize(text).is_a?(String)
      end
      raise Enough if @found.length >= MOST
      block = [Psych::Nodes::Scalar::LITERAL, Psych::Nodes::Scalar::FOLDED].include?(scalar.style) && place == scalar
      @found << [place.start_line + (block ? 2 : 1), names, text[0, LONGEST], block]
    end

    PLAIN = /\A(?:[-+.\d][\d_.,:eExXa-fA-FoO+-]*|~|null|true|false|yes|no|on|off|\.inf|\.nan)\z/i.freeze
  end

  # There is more than is told.
  class Enough < StandardError
    def message
      "has more than #{MOST} texts"
    end
  end
end
