#!/bin/sh
# Builds images: docker/build.sh PREFIX TAG IMAGE...
#
# IMAGE is a stage of the Dockerfile and becomes PREFIX-IMAGE:TAG. TAG is the commit that is built; `make images` gives it.
# DOCKER_BUILD_ARGS: more arguments of `docker build`, such as --build-arg PYTHON_IMAGE=… or --no-cache.
set -eu
cd "$(dirname "$0")/.."
[ $# -ge 3 ] || { echo "usage: docker/build.sh PREFIX TAG IMAGE..." >&2; exit 2; }
prefix=$1 tag=$2
shift 2
case $tag in
'' | latest | unknown)
    echo "error: the tag is '$tag'; expected the commit that is built. Outside a git checkout name one: make images TAG=…" >&2
    exit 2
    ;;
esac
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
label=org.opencontainers.image

for image in "$@"; do
    started=$(date +%s)
    echo "-- $prefix-$image:$tag" >&2
    set -- --file docker/Dockerfile --target "$image" --build-arg "REVISION=$tag"
    if [ -f "docker/$image.Dockerfile" ]; then # made from another image of ours
        set -- --file "docker/$image.Dockerfile" --build-arg "OURS=$prefix-${image%-*}:$tag"
    fi
    # shellcheck disable=SC2086 - several arguments in one variable
    docker build "$@" \
        --label "$label.title=bigbird-$image" --label "$label.version=$version" --label "$label.revision=$tag" \
        --label "$label.licenses=Apache-2.0" --tag "$prefix-$image:$tag" ${DOCKER_BUILD_ARGS:-} .
    size=$(docker image inspect --format '{{.Size}}' "$prefix-$image:$tag")
    echo "   $((size / 1000000)) MB, built in $(($(date +%s) - started)) s" >&2
done
