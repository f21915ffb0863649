# frozen_string_literal: true

# Watches over the agent of another master than the central one (class puppetmaster::client).
#
#   client-watch.rb CONFIG serves   whether that master serves this machine; exit status 1 and the reason if not
#   client-watch.rb CONFIG watch    what the timer runs: back to the central master where that is due
#
# It is due at once where the last catalog lacks the class (taken away in LDAP, it cannot undo itself; everything
# of it goes then) and where a crash has left half of the settings; else when the master has not served this machine
# for give_up_after. Nothing is decided while a run is under way. The settings go back by `puppet apply` of back.pp,
# each by a rename; a mark says so first, and who is killed in between goes on at the next look. One looks at a time:
# `puppet apply` holds the lock, too, so that nobody begins beside one that a killed look has left behind.
#
# How long it has not served is added up look by look, by the clock that nobody sets, and of the time between two looks
# no more than two intervals of the timer count: a machine that was suspended was not looked at. The sum is below /run,
# where a full disk does not reach it. So is where the agent has its files, which is asked again when puppet.conf changes.
#
# Only Ruby's own library is used: what watches must not depend on what a master sends.

require 'fileutils'
require 'json'
require 'net/http'
require 'open3'
require 'openssl'
require 'yaml'

CLASS = 'puppetmaster::client'
UNITS = %w[puppetmaster-client-watch.timer puppetmaster-client-watch.service].freeze
SYSTEMD = '/etc/systemd/system'
STATE = '/var/lib/puppetmaster'
MEMORY = "#{STATE}/before/settings"
LOCK = '/run/puppetmaster-client-watch.lock'
ABSENCE = '/run/puppetmaster-client-watch.absence'
PATHS = '/run/puppetmaster-client-watch.paths'
PATIENCE = 30

# The other master, asked as the agent asks it.
class Master
  def initialize(config)
    @certname = config['certname']
    @server = config['server']
    # nil: no proxy of the environment, as with the agent
    @http = Net::HTTP.new(@server, config['port'], nil)
    @http.use_ssl = true
    @http.verify_mode = OpenSSL::SSL::VERIFY_PEER
    @http.open_timeout = @http.read_timeout = PATIENCE
    @ssldir = config['ssldir']
  end

  # Returns why this machine is not served; nil: it is.
  def fault
    @http.ca_file = "#{@ssldir}/certs/ca.pem"
    @http.cert = OpenSSL::X509::Certificate.new(File.read("#{@ssldir}/certs/#{@certname}.pem"))
    @http.key = OpenSSL::PKey.read(File.read("#{@ssldir}/private_keys/#{@certname}.pem"))
    there = ask('/puppet/v3/environments').fetch('environments').keys
    wanted = ask("/puppet/v3/node/#{@certname}?environment=#{(there & ['production'] | there).first}").fetch('environment')
    "#{@server} has no environment #{wanted}, which is this machine's; it has #{there.join(', ')}" unless there.include?(wanted)
  rescue StandardError => e # whatever comes instead of an answer: we are not served
    "#{@server}: #{e.class}: #{e.message}"
  end

  private

  def ask(path)
    answer = @http.get(path, 'Accept' => 'application/json')
    raise Net::ProtocolError, "#{path} was answered with #{answer.code}: #{answer.body.to_s[0, 2000].inspect}" unless answer.code == '200'

    JSON.parse(answer.body)
  end
end

# The agent of this machine, and what the class has changed of it.
class Agent
  def initialize(config, place, lock)
    @lock = lock
    @puppet = config['puppet']
    @certname = config['certname']
    @wanted = config['settings']
    @place = place
    @paths = recall_paths || ask_paths
  end

  # Whether a run is under way: puppet.conf may be in the middle of a change.
  def busy?
    pid = Integer(File.read(@paths.fetch('agent_catalog_run_lockfile')), 10)
    File.read("/proc/#{pid}/cmdline").include?('puppet')
  rescue Errno::ENOENT, Errno::ESRCH, ArgumentError
    false
  end

  # Whether the last catalog from a master has the class; what cannot be told counts as yes.
  def asked_for?
    catalog = JSON.parse(File.read("#{@paths.fetch('client_datadir')}/catalog/#{@certname}.json"))
    !catalog['classes'].is_a?(Array) || catalog['classes'].include?(CLASS)
  rescue StandardError
    true
  end

  # :there with all settings, :half with some, :away with none of ours.
  def standing
    return :away if @wanted.keys.none? { |name| File.exist?("#{MEMORY}/#{name.tr('/', '.')}.json") }

    @wanted.all? { |name, value| configured[name] == value } ? :there : :half
  end

  def go_back
    mark = "#{@place}/returning"
    begin
      File.write(mark, '', perm: 0o600)
    rescue SystemCallError
      nil # a full disk; killed in between, half of the settings say the same
    end
    apply = [@puppet, 'apply', '--vardir', "#{@place}/var", '--environmentpath', "#{@place}/environments"]
    apply += ['--environment', 'back', '--modulepath', "#{@place}/environments/back/modules", '--detailed-exitcodes']
    said, done = Open3.capture2e(*apply, "#{@place}/back.pp", @lock => @lock)
    raise "puppet apply failed: #{said}" unless [0, 2].include?(done.exitstatus) && standing == :away

    FileUtils.rm_rf(["#{@place}/var", mark])
    # A service that runs asks its master at once.
    system('systemctl', 'try-restart', 'puppet.service')
  end

  def remove_all
    UNITS.each { |unit| FileUtils.rm_f(["#{SYSTEMD}/#{unit}", "#{SYSTEMD}/timers.target.wants/#{unit}"]) }
    FileUtils.rm_rf([@place, ABSENCE, PATHS])
    system('systemctl', 'daemon-reload')
    system('systemctl', 'stop', UNITS.first)
    [MEMORY, File.dirname(MEMORY), STATE].each do |directory|
      Dir.rmdir(directory)
    rescue SystemCallError
      break # somebody else has something in there, or it is gone
    end
  end

  private

  # Each call takes a second of CPU time.
  def ask_paths
    began = Time.now
    words = %w[config print --section agent config agent_catalog_run_lockfile client_datadir]
    said, done = Open3.capture2e(@puppet, *words)
    raise "puppet config print: #{said}" unless done.success?

    paths = said.lines.to_h { |line| line.chomp.split(' = ', 2) if line.include?(' = ') }
    remember(paths) if File.mtime(paths.fetch('config')) < began
    paths
  rescue Errno::ENOENT
    paths || raise
  end

  def remember(paths)
    File.write("#{PATHS}.new", JSON.generate('paths' => paths, 'of' => stamp(paths)), perm: 0o600)
    File.rename("#{PATHS}.new", PATHS)
  rescue SystemCallError
    nil # asked again at the next look
  end

  # What Puppet told of this very puppet.conf.
  def recall_paths
    seen = JSON.parse(File.read(PATHS))
    seen['paths'] if seen['of'] == stamp(seen['paths'])
  rescue SystemCallError, JSON::ParserError, TypeError, NoMethodError
    nil
  end

  def stamp(paths)
    file = File.stat(paths['config'])
    [@puppet, file.ino, file.size, file.mtime.to_r.to_s]
  end

  def configured
    section = nil
    File.foreach(@paths.fetch('config'), encoding: 'utf-8').each_with_object({}) do |line, found|
      case line
      when /^\s*\[\s*(\w+)\s*\]/ then section = Regexp.last_match(1)
      when /^\s*(\w+)\s*=\s*(.*?)\s*$/ then found["#{section}/#{Regexp.last_match(1)}"] = Regexp.last_match(2)
      end
    end
  end
end

# Seconds for which a master has been seen not to serve this machine.
class Absence
  def initialize(file, master, interval)
    @file = file
    @master = master
    @interval = interval
  end

  # Adds a look, at `now` by the monotonic clock, and returns the sum.
  def seconds(now)
    before = recall
    # Negative: the machine was started anew since.
    sum = before ? before['seconds'] + (now - before['looked']).clamp(0, 2 * @interval) : 0
    File.write("#{@file}.new", JSON.generate('master' => @master, 'seconds' => sum, 'looked' => now), perm: 0o600)
    File.rename("#{@file}.new", @file)
    sum
  end

  def forget
    FileUtils.rm_f(@file)
  end

  private

  # What was seen of this very master.
  def recall
    seen = JSON.parse(File.read(@file))
    seen if seen['master'] == @master && seen['seconds'].is_a?(Numeric) && seen['looked'].is_a?(Numeric)
  rescue Errno::ENOENT, JSON::ParserError, TypeError, NoMethodError
    nil
  end
end

# Nobody has to listen: what is to be done is done.
def tell(line)
  puts line
rescue SystemCallError, IOError
  nil
end

def watch(config, place, lock)
  lock.flock(File::LOCK_EX)
  agent = Agent.new(config, place, lock)
  return if agent.busy?

  unless agent.asked_for?
    tell "the last catalog has no class #{CLASS}: back to the central master"
    agent.go_back unless agent.standing == :away
    return agent.remove_all
  end
  standing = agent.standing
  # The timer's interval, as the class makes it.
  absence = Absence.new(ABSENCE, config.values_at('server', 'port', 'ssldir').join(' '), [config['give_up_after'] / 10, 5].max)
  return absence.forget if standing == :away

  reason = 'half of the settings are in place' if standing == :half || File.exist?("#{place}/returning")
  unless reason
    fault = Master.new(config).fault
    return absence.forget unless fault

    gone = absence.seconds(Process.clock_gettime(Process::CLOCK_MONOTONIC))
    tell "not served for #{gone.round} s, and back after #{config['give_up_after']} s: #{fault}"
    return if gone < config['give_up_after']

    reason = "not served for #{gone.round} s"
  end
  tell "#{reason}: back to the central master"
  agent.go_back
  absence.forget
end

$stdout.sync = true # so that what cannot be told fails in `tell`, and not where programs are started
path, what = ARGV
config = YAML.safe_load(File.read(path))
case what
when 'serves'
  fault = Master.new(config).fault
  abort fault if fault
when 'watch' then File.open(LOCK, 'w', 0o600) { |lock| watch(config, File.dirname(path), lock) }
else abort 'write client-watch.rb CONFIG serves|watch'
end
