# Read by the other scripts: where things lie, and settings that a bare container needs. Sets no option of the shell.
swallowtail_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { echo "$(basename "$0"): $*"; }
fail() {  # fail CODE MESSAGE
  echo "$(basename "$0"): error: $2" >&2
  exit "$1"
}

if [ -z "${SWALLOWTAIL_CACHE:-}" ]; then
  # HOME is unset in some batch jobs and containers; the user database knows it as well
  home=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}
  [ -n "$home" ] || fail 2 "neither SWALLOWTAIL_CACHE nor HOME is set; set SWALLOWTAIL_CACHE to a folder with 4 GB to spare"
  SWALLOWTAIL_CACHE=$home/.cache/swallowtail
fi
case $SWALLOWTAIL_CACHE in /*) ;; *) SWALLOWTAIL_CACHE=$PWD/$SWALLOWTAIL_CACHE ;; esac
export SWALLOWTAIL_CACHE

# GCC's precompiled headers are cached only with these; __TIME__ occurs in none of our sources.
export CCACHE_DIR=${CCACHE_DIR:-$SWALLOWTAIL_CACHE/ccache}
export CCACHE_SLOPPINESS=${CCACHE_SLOPPINESS:-pch_defines,time_macros}
export CCACHE_BASEDIR=${CCACHE_BASEDIR:-$swallowtail_root}

# mpirun refuses root and more ranks than cores unless told otherwise. Binding would put the ranks of two mpiruns on the
# same core. Containers often forbid process_vm_readv, which shared-memory transfers then report as errors.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_hwloc_base_binding_policy=${OMPI_MCA_hwloc_base_binding_policy:-none}
export OMPI_MCA_btl_vader_single_copy_mechanism=${OMPI_MCA_btl_vader_single_copy_mechanism:-none}
# Threads that spin at the end of a parallel region take the core from another rank.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
