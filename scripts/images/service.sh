#!/usr/bin/env bash
# Base image of the demo's services: the service program alone, FROM scratch. Prints its name.
set -euo pipefail
# shellcheck source=scripts/images/lib.sh
. "$(dirname "$0")/lib.sh"

need_engine
salt=$arch
tag=$prefix-base:$(hash_of "$here/lib.sh" "$here/service.sh" "${service_sources[@]}")
if ! have_image "$tag"; then
  work_folder
  build_service "$work/service"
  cat >"$work/Dockerfile" <<'D'
FROM scratch
COPY service /service
USER 65534:65534
ENTRYPOINT ["/service"]
CMD ["serve"]
D
  build_image "$tag" "$work"
fi
echo "$tag"
