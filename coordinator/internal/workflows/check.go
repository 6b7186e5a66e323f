package workflows

import "regexp"

// hostedLabel is a runner of GitHub's. Source:
// https://docs.github.com/actions/reference/runners/github-hosted-runners
var hostedLabel = regexp.MustCompile(`^(?i)(ubuntu|windows|macos)-(latest|slim|[0-9][0-9.]*)(-(arm|large|xlarge|intel))?$`)
