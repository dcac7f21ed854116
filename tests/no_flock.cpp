// A library to be preloaded: a machine whose file systems have no locks.

#include <cerrno>

extern "C" int flock(int /*descriptor*/, int /*operation*/) {
  errno = ENOLCK;
  return -1;
}
