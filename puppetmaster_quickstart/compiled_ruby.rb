# frozen_string_literal: true

# Keeps what Ruby's packages were compiled to: half of the processor's time in which `puppet` starts goes into that.
#
# compiled_ruby.py puts it into a directory of a cache, where its results stand beside it, below the version of Ruby,
# each under its source's path, time and size. A file that is there is complete, for it is made aside and renamed.
# Where nothing can be kept or read, Ruby compiles as ever. Only what packages bring, below /usr: all else, such as the
# code of an environment, is read where it stands.
if RUBY_ENGINE == 'ruby'
  class RubyVM::InstructionSequence
    KEPT = "#{__dir__}/#{RUBY_VERSION}-#{RUBY_PATCHLEVEL}-#{RUBY_PLATFORM}"
    # As Ruby has it: programs in tests are killed at theirs.
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
      # By chance, for machines that share the directory have processes of the same number.
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
