# frozen_string_literal: true

# Keeps the compiled code of Ruby's packages: compiling takes half of the CPU time in which `puppet` starts.
#
# compiled_ruby.py puts this program into the cache's directory. The results are beside it, in a directory for the
# version of Ruby, named after the source's path, time and size. Files there are always complete, because they are
# written under another name and renamed. If nothing can be kept or read, Ruby compiles as usual. This is only for code
# of packages, below /usr: everything else, such as an environment's code, is read from its own place.
if RUBY_ENGINE == 'ruby'
  class RubyVM::InstructionSequence
    KEPT = "#{__dir__}/#{RUBY_VERSION}-#{RUBY_PATCHLEVEL}-#{RUBY_PLATFORM}"
    # Ruby's own method: tests replace File.rename in order to kill programs there.
    RENAME = File.method(:rename)
    private_constant :KEPT, :RENAME

    def self.load_iseq(path)
      return unless path.start_with?('/usr/')

      source = File.stat(path)
      kept = "#{KEPT}/#{path.tr('/', '%')}-#{source.mtime.to_i}.#{source.mtime.nsec}-#{source.size}"
      File.exist?(kept) ? load_from_binary(File.binread(kept)) : keep(compile_file(path), kept)
    rescue StandardError, SyntaxError
      nil
    end

    def self.keep(compiled, place)
      Dir.mkdir(KEPT) unless File.directory?(KEPT)
      # Random, because machines that share the directory can have processes with the same number.
      aside = "#{place}.#{Random.urandom(8).unpack1('H*')}"
      File.binwrite(aside, compiled.to_binary)
      RENAME.call(aside, place)
      compiled
    rescue SystemCallError
      compiled
    end
    private_class_method :keep
  end
end
