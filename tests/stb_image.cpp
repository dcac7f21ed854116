// The decoder of the tests: stb keeps its implementation in the header, compiled here once.
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>
