# frozen_string_literal: true

Puppet::Type.newtype(:puppetmaster_setting) do
  @doc = <<~DOC
    @summary One setting of puppet.conf, which knows what stood there before.

    `ensure => absent` puts back the value that the setting had before this
    resource changed it (or takes the setting away if it had none), and does
    nothing where this resource has never changed anything. Comments and all
    other lines stay as they are.

    @example puppetserver calls a node classifier
      puppetmaster_setting { 'server/node_terminus':
        value => 'exec',
      }
  DOC

  ensurable do
    desc 'Whether the setting shall be ours (`present`) or as it was before us (`absent`).'
    defaultvalues
    defaultto :present
  end

  newparam(:name, namevar: true) do
    desc 'SECTION/SETTING, for example `server/autosign`.'
    validate do |name|
      raise ArgumentError, "#{name.inspect} is not SECTION/SETTING" unless name.match?(%r{\A[a-z]\w*/[a-z]\w*\z})
    end
  end

  newproperty(:value) do
    desc 'The value, as it stands in puppet.conf.'
    munge(&:to_s)
    validate do |value|
      raise ArgumentError, "#{value.inspect} does not fit on a line of puppet.conf" if value.to_s.match?(%r{[\r\n\0]|\A\s|\s\z})
    end
  end

  newparam(:path) do
    desc "The file; default: this machine's own puppet.conf."
    defaultto { Puppet[:config] }
    validate do |path|
      raise ArgumentError, "#{path.inspect} is not an absolute path" unless Puppet::Util.absolute_path?(path)
    end
  end

  newparam(:memory) do
    desc 'The directory where it is kept what stood in the file before.'
    defaultto '/var/lib/puppetmaster/before/settings'
    validate do |path|
      raise ArgumentError, "#{path.inspect} is not an absolute path" unless Puppet::Util.absolute_path?(path)
    end
  end

  autorequire(:file) { [self[:path], self[:memory]] }

  validate do
    raise ArgumentError, 'a value is needed' if self[:ensure] == :present && self[:value].nil?
  end
end
