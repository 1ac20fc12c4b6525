/* Notes in the file $KEPT, after each fsync, how much of which file the disk has: what a loss of power leaves. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int noted(int fd, const char *name) {
  struct stat before;
  char link[64], path[4096], line[4200];
  int known = fstat(fd, &before);
  int (*real)(int) = dlsym(RTLD_NEXT, name);
  int result = real(fd);
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (result == 0 && known == 0 && length > 0) {
    path[length] = 0;
    int n = snprintf(line, sizeof line, "%lld %s\n", (long long)before.st_size, path);
    FILE *log = fopen(getenv("KEPT"), "a");
    if (log) { fwrite(line, 1, n, log); fclose(log); }
  }
  return result;
}
int fdatasync(int fd) { return noted(fd, "fdatasync"); }
int fsync(int fd) { return noted(fd, "fsync"); }
