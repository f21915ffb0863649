# frozen_string_literal: true

# Which packaging of Puppet this machine has; module data is looked up by it.
Facter.add(:puppetmaster_layout) do
  setcode do
    # Debian's own packages keep to /etc/puppet; all others to /etc/puppetlabs.
    if !Puppet[:config].start_with?('/etc/puppetlabs/') && File.directory?('/usr/share/puppet')
      'debian'
    elsif Dir.glob('/opt/puppetlabs/puppet/lib/ruby/gems/*/specifications/openfact-*.gemspec').any? ||
          File.exist?('/var/lib/dpkg/info/openvox-agent.list') ||
          Facter::Core::Execution.execute('rpm -q openvox-agent', on_fail: '').start_with?('openvox-agent-')
      'openvox'
    else
      'puppet'
    end
  end
end
