# Sourced by the scripts that build: takes --torch system|pip|PATH off the front of their arguments. PATH is an unpacked
# LibTorch or a prefix that one is installed under, pip the torch of the active python3, system (the default) Debian's.
# Sets suffix (of the build folder, which each LibTorch has for itself), torch_packages (what Debian has to install for
# it) and torch_options (for CMake).

torch=system
case ${1-} in
  --torch) torch=${2:?"--torch: system, pip or PATH is missing"}; shift 2 ;;
  --torch=*) torch=${1#*=}; shift ;;
esac

suffix='' torch_packages=() torch_options=()
if [ "$torch" = system ]; then
  torch_packages=(libtorch-dev libopenblas0-pthread)
else
  suffix=-pip
  if [ "$torch" = pip ]; then  # without importing it, which takes seconds
    prefix=$(python3 -c 'from importlib.util import find_spec; print(*find_spec("torch").submodule_search_locations)' \
               2>/dev/null) ||
      { echo "--torch pip: the active python3 ($(command -v python3)) has no torch; install it: python3 -m pip install torch" >&2
        exit 2; }
  else
    prefix=$(realpath -m "$torch") torch=$prefix
    suffix=-$(basename "$prefix")
  fi
  for config in "$prefix"/{share,lib,lib/*}/cmake/Torch/TorchConfig.cmake; do
    [ ! -f "$config" ] || torch_options=(-DTorch_DIR="$(dirname "$config")")
  done
  if [ ${#torch_options[@]} -eq 0 ]; then
    echo "--torch $torch: no LibTorch in '$prefix'; allowed: a folder with share/cmake/Torch in it, pip, system" >&2
    exit 2
  fi
fi
