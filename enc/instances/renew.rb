# Gets the agent another certificate before the present one ends: same key, same name, same extensions. No token.
#
#     ruby renew SECONDS      asks if the certificate ends within SECONDS (docs/signing.md, "Renewal")
#
# Works in a scratch ssldir; the agent's own files are read, until one rename puts the new certificate in place.
# An agent that renews by itself (Puppet 8) has the first half of its own time for that.
# Exit status: 0 renewed, or nothing to do; 1 not renewed, and everything is as it was.
require 'fileutils'
require 'openssl'
require 'yaml'

HERE = File.realpath(__dir__)
SCRATCH = File.join(HERE, 'renewal')
ARC = '1.3.6.1.4.1.34380.1.1.' # pp_project and its kin
NAMES = %w[certname hostcert hostprivkey localcacert hostcrl passfile hostcert_renewal_interval].freeze
ENV['LC_ALL'] = 'C.UTF-8'

def read(file)
  OpenSSL::X509::Certificate.new(File.read(file))
end

# The time before its end from which a certificate is to be renewed: never more than half of its life.
def before(present, asked, own)
  times = [asked, (present.not_after - present.not_before) / 2]
  times << (own / 2) if own.positive?
  times.min
end

def prepare(agent, present)
  FileUtils.rm_rf(SCRATCH)
  FileUtils.mkdir_p(%w[certs private_keys].map { |name| File.join(SCRATCH, name) }, mode: 0o700)
  FileUtils.cp(agent['localcacert'], File.join(SCRATCH, 'certs/ca.pem'))
  FileUtils.cp(agent['hostcrl'], File.join(SCRATCH, 'crl.pem')) if File.exist?(agent['hostcrl'])
  FileUtils.cp(agent['hostprivkey'], File.join(SCRATCH, "private_keys/#{agent['certname']}.pem"))
  said = present.extensions.select { |it| it.oid.start_with?(ARC) }.map do |it|
    [it.oid, OpenSSL::ASN1.decode(OpenSSL::ASN1.decode(it.to_der).value.last.value).value.dup.force_encoding('UTF-8')]
  end
  File.write(File.join(SCRATCH, 'csr_attributes.yaml'), { 'extension_requests' => said.to_h }.to_yaml)
end

# Lets puppet do one thing in the scratch ssldir, wherever the agent's settings have its files.
def puppet(action, agent)
  name = agent['certname']
  places = {
    'ssldir' => '', 'certdir' => 'certs', 'localcacert' => 'certs/ca.pem', 'hostcert' => "certs/#{name}.pem",
    'privatekeydir' => 'private_keys', 'hostprivkey' => "private_keys/#{name}.pem", 'requestdir' => 'requests',
    'hostcsr' => "requests/#{name}.pem", 'publickeydir' => 'public_keys', 'hostpubkey' => "public_keys/#{name}.pem",
    'hostcrl' => 'crl.pem', 'csr_attributes' => 'csr_attributes.yaml'
  }
  words = places.flat_map { |setting, place| ["--#{setting}", File.join(SCRATCH, place).chomp('/')] }
  words += ['--passfile', agent['passfile'], '--http_keepalive_timeout', '0', '--color', 'false']
  system('puppet', 'ssl', action, *words, in: :close)
end

# The certificate that came, if it is one that the agent can work with, and lasts longer than the present one.
def come(agent, present)
  file = File.join(SCRATCH, "certs/#{agent['certname']}.pem")
  return unless File.exist?(file)

  found = read(file)
  trusted = OpenSSL::X509::Store.new
  File.read(agent['localcacert']).scan(/-----BEGIN CERT.+?END CERTIFICATE-----/m) do |pem|
    trusted.add_cert(OpenSSL::X509::Certificate.new(pem))
  end
  fits = found.public_key.to_der == present.public_key.to_der && found.subject == present.subject &&
         trusted.verify(found)
  found if fits && found.not_after > present.not_after
end

def put(found, file)
  aside, was = "#{file}.renewed", File.stat(file)
  File.open(aside, 'w', 0o600) do |stream|
    stream.write(found.to_pem)
    stream.chmod(was.mode & 0o777)
    stream.chown(was.uid, was.gid)
    stream.fsync
  end
  File.rename(aside, file)
  File.open(File.dirname(file), &:fsync)
end

lock = File.open(File.join(HERE, 'lock'), File::RDWR | File::CREAT, 0o600) # first-run's, too
exit unless lock.flock(File::LOCK_EX | File::LOCK_NB)
said = IO.popen(['puppet', 'config', 'print', '--section', 'agent', *NAMES], &:read)
agent = said.scan(/^(\w+) = (.*)$/).to_h
place = File.realpath(agent.fetch('hostcert'))
present = read(place)
left = present.not_after - Time.now
exit if left > before(present, Integer(ARGV.fetch(0)), agent['hostcert_renewal_interval'].to_i)
prepare(agent, present)
# What an earlier try was given, and did not get.
puppet('download_cert', agent)
found = come(agent, present) || (puppet('submit_request', agent) && come(agent, present))
FileUtils.rm_rf(SCRATCH)
abort "#{agent['certname']}: no new certificate; this one ends #{present.not_after}; enc-admin signing log" unless found
put(found, place) if read(place).to_der == present.to_der
puts "#{agent['certname']}: renewed, until #{found.not_after}"
