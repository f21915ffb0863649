# @summary How many JRuby instances a machine can take, and the heap that they need.
#
# Half of the memory is for the heap, since the JVM takes about as much again
# beside it (code, threads, buffers) and the machine has other work. 512 MB are
# for puppetserver itself and 512 MB for each instance; fewer than one instance
# and less than 384 MB cannot work. More than four instances, or more than the
# processors less one, are seldom of use; say so with parameters where they are.
#
# @param memory_bytes
#   The machine's memory, in bytes.
# @param processors
#   How many processors it has.
# @param instances
#   How many JRuby instances; undef: as many as fit.
# @return
#   `instances`, and `heap` in MB
# @example A machine with 4 GB and 2 processors gets one instance and 1024 MB
#   puppetmaster::sizing(4294967296, 2)
function puppetmaster::sizing(
  Integer[1]           $memory_bytes,
  Integer[1]           $processors,
  Optional[Integer[1]] $instances = undef,
) >> Struct[{ instances => Integer[1], heap => Integer[1] }] {
  $half = $memory_bytes / 2097152
  $fitting = max(1, min(4, $processors - 1, ($half - 512) / 512))
  $chosen = $instances ? {
    undef   => $fitting,
    default => $instances,
  }
  $wanted = 512 + 512 * $chosen
  # The heap of one instance shrinks before there is none.
  $heap = $instances ? {
    undef   => max(384, min($wanted, $half)),
    default => $wanted,
  }
  $sizing = { 'instances' => $chosen, 'heap' => $heap }
  $sizing
}
