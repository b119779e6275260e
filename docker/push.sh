#!/bin/sh
# Pushes built images and records their digests: docker/push.sh PREFIX TAG REGISTRY FILE IMAGE...
#
# PREFIX-IMAGE:TAG goes to REGISTRY/PREFIX-IMAGE:TAG. FILE becomes {"IMAGE": "REGISTRY/PREFIX-IMAGE@sha256:…", …}, which
# `bigbird compile --images FILE` pins; it replaces an earlier one when all are pushed.
set -eu
cd "$(dirname "$0")/.."
[ $# -ge 5 ] || { echo "usage: docker/push.sh PREFIX TAG REGISTRY FILE IMAGE..." >&2; exit 2; }
prefix=$1 tag=$2 registry=${3%/} file=$4
shift 4
[ -n "$registry" ] || { echo "error: REGISTRY is empty; expected for example region-docker.pkg.dev/project/repository" >&2; exit 2; }
case $tag in
'' | *-dirty-* | latest | unknown)
    echo "error: the tag is '$tag'; expected a commit. Commit the changes to what goes into the images, then push" >&2
    exit 2
    ;;
esac

for image in "$@"; do
    docker image inspect "$prefix-$image:$tag" >/dev/null 2>&1 ||
        { echo "error: $prefix-$image:$tag is not built; make images IMAGES=$image" >&2; exit 2; }
done
entries=
for image in "$@"; do
    name=$registry/$prefix-$image
    docker tag "$prefix-$image:$tag" "$name:$tag"
    docker push "$name:$tag"
    digest=$(docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$name:$tag" | grep "^$name@" | head -n 1)
    [ -n "$digest" ] || { echo "error: $name:$tag: the registry gave no digest" >&2; exit 1; }
    entries="$entries${entries:+,
}  \"$image\": \"$digest\""
done
mkdir -p "$(dirname "$file")"
printf '{\n%s\n}\n' "$entries" >"$file.tmp"
mv "$file.tmp" "$file"
echo "wrote $file" >&2
