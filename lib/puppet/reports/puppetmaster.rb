# Keeps what an instance says of its own run, and nothing that it says of others.
#
# Puppet sees that a report's host is the one in its address, and the shipped auth.conf that the address is the
# sender's; `store` itself asks nobody, so a rule that lets in too much lets agents report for others. Here a report
# counts only if its host is the certname of the certificate that it was sent with, whatever auth.conf says. Without a
# certificate that puppetserver has verified, nothing is kept.
#
# What is kept is one small file of JSON for each run, of checked values only: vardir/puppetmaster-reports/CERTNAME/.
# `enc-admin instance collect` reads it, and takes the time of the run from the file's own.

require 'fileutils'
require 'json'
require 'securerandom'
require 'puppet'
require 'puppet/reports'

Puppet::Reports.register_report(:puppetmaster) do
  desc 'Keep how an instance says that its own run went, if the report came with the certificate of that very name.'

  # Files of an instance; older ones go.
  kept = 100
  # As in enc/names.py: no name of this form leads out of a directory.
  certname = %r{\A[a-z0-9](?:[a-z0-9_-]|\.(?!\.)){0,249}\z}
  statuses = ['changed', 'unchanged', 'failed'].freeze

  define_method(:process) do
    reports = File.join(Puppet[:vardir], 'puppetmaster-reports')
    # Also for a report that is refused: where this directory is, no other reports are read.
    FileUtils.mkdir_p(reports, mode: 0o750)
    trusted = Puppet.lookup(:trusted_information) { nil }
    sender = (trusted.certname if trusted && trusted.authenticated == 'remote')
    unless sender.is_a?(String) && certname.match?(sender)
      Puppet.err('puppetmaster: a report came without a certificate; it was not kept')
      next
    end
    unless host == sender
      Puppet.err("puppetmaster: #{sender} sent a report in the name of #{host.inspect[0, 300]}; it was not kept")
      next
    end
    unless statuses.include?(status)
      Puppet.err("puppetmaster: #{sender} sent a report with the status #{status.inspect[0, 100]}; it was not kept")
      next
    end

    directory = File.join(reports, sender)
    FileUtils.mkdir_p(directory, mode: 0o750)
    raise Puppet::Error, "#{directory} is not a directory" unless File.lstat(directory).directory?

    run = { 'certname' => sender, 'status' => status, 'noop' => noop == true }
    run['environment'] = environment if environment.is_a?(String) && environment.match?(%r{\A\w{1,100}\z})
    run['transaction_uuid'] = transaction_uuid if transaction_uuid.is_a?(String) &&
                                                  transaction_uuid.match?(%r{\A[\w-]{1,64}\z})
    now = Time.now.utc
    # The names of the files sort by their time.
    name = "#{now.strftime('%Y%m%dT%H%M%S.%N')}-#{SecureRandom.hex(4)}.json"
    aside = File.join(directory, ".#{name}")
    File.open(aside, File::WRONLY | File::CREAT | File::EXCL, 0o640) { |file| file.write("#{JSON.generate(run)}\n") }
    File.rename(aside, File.join(directory, name))

    old = Dir.children(directory).select { |child| child.end_with?('.json') && !child.start_with?('.') }.sort[0...-kept]
    # What a crash left half written.
    old.concat(Dir.children(directory).select do |child|
      child.start_with?('.') && child[1, 8] < (now - 86_400).strftime('%Y%m%d')
    end)
    FileUtils.rm_f(old.map { |child| File.join(directory, child) })
  end
end
