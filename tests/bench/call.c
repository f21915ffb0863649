/* The least that a program can do to answer: copy a file to stdout. */
#include <fcntl.h>
#include <unistd.h>

int main(int argc, char **argv) {
  static char buffer[65536];
  int file = open(argv[argc - 1], O_RDONLY);
  ssize_t count;
  while ((count = read(file, buffer, sizeof buffer)) > 0) {
    if (write(1, buffer, (size_t)count) != count) return 1;
  }
  return count != 0;
}
