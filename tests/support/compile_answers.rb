# Compiles one answer of an ENC after the other with the installed Puppet, as puppetserver does, and makes of
# each catalog an agent's resources. A line of JSON {"answer": YAML, "read": NAME or null} in, one out:
# {"error": TEXT or null, "value": of the top-scope variable, "notes": titles of the Notify resources}.
#
# usage: ruby compile_answers.rb CODEDIR VARDIR; $PUPPET_LIB, if set, is the lib/ of another Puppet.
require "set"
require "json"
$LOAD_PATH.unshift(ENV["PUPPET_LIB"]) if ENV["PUPPET_LIB"]
require "puppet"
require "puppet/indirector/node/exec"

code, var = ARGV
Puppet.initialize_settings([
  "--confdir", code, "--vardir", var, "--codedir", code,
  "--environmentpath", "#{code}/environments", "--basemodulepath", "#{code}/modules",
  "--hiera_config", "#{code}/hiera.yaml",
])
FACTS = {
  "os" => {"name" => "Debian"}, "fqdn" => "web.example", "clientcert" => "web.example",
  "clientversion" => Puppet.version, "clientnoop" => false,
}.freeze
exec = Puppet::Node::Exec.new
$stdout.sync = true

def compile(exec, asked)
  answer = exec.send(:translate, "web.example", asked["answer"])
  answer[:environment] ||= "production"
  node = exec.send(:create_node, "web.example", answer, Puppet::Node::Facts.new("web.example", FACTS.dup))
  node.add_server_facts({"serverversion" => Puppet.version, "servername" => "puppet", "serverip" => "192.0.2.1"})
  trusted = Puppet::Context::TrustedInformation.new("remote", "web.example", {})
  node.trusted_data = trusted.to_h
  Puppet.override(current_environment: node.environment, trusted_information: trusted) do
    compiler = Puppet::Parser::Compiler.new(node)
    catalog = compiler.compile { |made| made }
    sent = JSON.parse(JSON.generate(catalog.to_resource.to_data_hash))
    Puppet::Resource::Catalog.from_data_hash(sent).to_ral
    name = asked["read"]
    {
      "error" => nil,
      "value" => name && compiler.topscope.bound?(name) ? compiler.topscope[name] : nil,
      "notes" => catalog.resources.select { |resource| resource.type == "Notify" }.map(&:title),
    }
  end
rescue StandardError => e
  {"error" => "#{e.class}: #{e.message}"}
end

$stdin.each_line { |line| $stdout.puts JSON.generate(compile(exec, JSON.parse(line))) }
