# frozen_string_literal: true

require 'fileutils'
require 'json'
require 'stringio'
require 'puppet/settings/ini_file'

# The file is edited by the code behind `puppet config set`. What stood there
# before is on disk before the file is changed, and is removed after it was put
# back: killed in between, the next run goes on.
Puppet::Type.type(:puppetmaster_setting).provide(:ruby) do
  desc "Edits puppet.conf with Puppet's own code."

  def exists?
    # A setting that was right before us is not ours, and stays when we go.
    remembered? || (resource[:ensure] == :present && value == resource[:value])
  end

  def create
    # What stood in puppet.conf may be secret; others use the directories above.
    FileUtils.mkdir_p(File.dirname(resource[:memory]), mode: 0o755)
    FileUtils.mkdir_p(resource[:memory], mode: 0o700)
    remember("#{section}.made", {}) unless section == 'main' || named?(section, text)
    remember(memory_name, 'value' => value)
    self.value = resource[:value]
  end

  def destroy
    before = JSON.parse(File.read(place(memory_name)))['value']
    left = edited { |file| before.nil? ? file.delete(section, setting) : file.set(section, setting, before) }
    left = without_section(left) if File.exist?(place("#{section}.made")) && others.empty?
    write(left)
    forget(memory_name)
    forget("#{section}.made") if others.empty?
  end

  def value
    line = parsed.setting(section, setting)
    line&.value
  end

  def value=(wanted)
    write(edited { |file| file.set(section, setting, wanted) })
  end

  private

  def section
    resource[:name].split('/').first
  end

  def setting
    resource[:name].split('/').last
  end

  def memory_name
    "#{section}.#{setting}.json"
  end

  def place(name)
    File.join(resource[:memory], name)
  end

  def remembered?
    File.exist?(place(memory_name))
  end

  # What else of this section is ours.
  def others
    Dir.glob(place("#{section}.*.json")) - [place(memory_name)]
  end

  def remember(name, document)
    return if File.exist?(place(name))

    Puppet::Util.replace_file(place(name), 0o600) { |file| file.write(JSON.generate(document)) }
  end

  def forget(name)
    FileUtils.rm_f(place(name))
  end

  def text
    File.exist?(resource[:path]) ? File.read(resource[:path], encoding: 'utf-8') : ''
  end

  def parsed
    Puppet::Settings::IniFile.parse(StringIO.new(text))
  end

  def edited(&block)
    before = text
    file = StringIO.new(before.dup)
    Puppet::Settings::IniFile.update(file, &block)
    # What stands before the first section is main's. Puppet's code writes a line for it; we leave that to people.
    named?('main', before) ? file.string : file.string.delete_prefix("[main]\n")
  end

  def named?(section, text)
    text.match?(%r{^\s*\[#{section}\]\s*$})
  end

  # The section's line goes if no setting follows it. Words around it stay: they belong to nobody's section.
  def without_section(text)
    lines = text.lines
    start = lines.index { |line| line.match?(%r{^\s*\[#{section}\]\s*$}) }
    return text unless start

    inside = lines.drop(start + 1).take_while { |line| !line.match?(%r{^\s*\[\w+\]\s*$}) }
    lines.delete_at(start) if inside.none? { |line| line.match?(%r{^\s*\w+\s*=}) }
    lines.join
  end

  def write(content)
    path = File.exist?(resource[:path]) ? File.realpath(resource[:path]) : resource[:path]
    Puppet::Util.replace_file(path, 0o644) { |file| file.write(content) }
  end
end
