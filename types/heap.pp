# @summary The size of a JVM's heap, as `java` takes it: `512m`, `2g`.
type Puppetmaster::Heap = Pattern[/\A[1-9][0-9]*[mg]\z/]
