package workflows

import (
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/strictyaml"
)

// merge puts the regions of a freshly rendered file into one that exists. Everything
// around them stays as it is; a job that is new is put before the next one that is there
// already, or at the end. Problems mean that nothing is merged.
func merge(path string, fresh, existing []byte) ([]byte, strictyaml.Problems) {
	want, problems := cut(path, string(fresh))
	if len(problems) > 0 {
		return nil, problems // a template is broken; its test says so first
	}
	have, problems := cut(path, string(existing))
	if len(problems) > 0 {
		return nil, problems
	}
	if problems := compareRegions(path, want, have); len(problems) > 0 {
		return nil, problems
	}
	merged := []byte(weave(want, have))
	return merged, holds(path, fresh, merged)
}

// compareRegions finds regions that must not be there, are missing or are out of order.
func compareRegions(path string, want, have document) strictyaml.Problems {
	var problems strictyaml.Problems
	fail := func(line int, message string) {
		problems = append(problems, strictyaml.Problem{File: path, Line: line + 1, Column: 1, Message: message})
	}
	names, last := want.names(), -1
	for _, r := range have.regions {
		at := slices.Index(names, r.name)
		switch {
		case at < 0:
			fail(r.begin, "region "+r.name+" is none of this file, or of a job that landfall.yaml names no longer: delete it with its marks")
		case at < last:
			fail(r.begin, "region "+r.name+" stands behind "+names[last]+" but belongs before it")
		}
		last = max(last, at)
	}
	for i, r := range want.regions {
		if slices.Contains(have.names(), r.name) {
			continue
		}
		head := group(want, i)
		whole := slices.ContainsFunc(want.regions[head.first:head.last+1], func(r region) bool { return slices.Contains(have.names(), r.name) })
		if whole || !strings.HasPrefix(want.regions[head.first].name, "job.") {
			fail(0, "the marks of region "+r.name+" are missing")
		}
	}
	return problems
}

// span is regions that only make sense together: those of a job.
type span struct{ first, last int }

// group is the span that a region belongs to.
func group(d document, i int) span {
	_, job, _ := strings.Cut(d.regions[i].name, ".")
	s := span{i, i}
	for s.first > 0 && job != "" && strings.HasSuffix(d.regions[s.first-1].name, "."+job) {
		s.first--
	}
	for s.last+1 < len(d.regions) && job != "" && strings.HasSuffix(d.regions[s.last+1].name, "."+job) {
		s.last++
	}
	return s
}

// weave writes the existing lines with the wanted regions in place of theirs.
func weave(want, have document) string {
	var out strings.Builder
	next := 0 // the first wanted region that is not written yet
	text := func(first, last int) string { return strings.Join(want.lines[first:last+1], "") }
	missing := func(until int) (jobs []string) {
		for next < until {
			s := group(want, next)
			jobs = append(jobs, text(want.regions[s.first].begin, want.regions[s.last].end))
			next = s.last + 1
		}
		return jobs
	}
	line := 0
	for _, r := range have.regions {
		out.WriteString(strings.Join(have.lines[line:r.begin], ""))
		at := slices.Index(want.names(), r.name)
		for _, job := range missing(at) {
			out.WriteString(job + "\n")
		}
		out.WriteString(text(want.regions[at].begin, want.regions[at].end))
		next, line = at+1, r.end+1
	}
	rest := strings.Join(have.lines[line:], "")
	out.WriteString(rest)
	for _, job := range missing(len(want.regions)) {
		if rest != "" && !strings.HasSuffix(rest, "\n") {
			out.WriteString("\n")
		}
		out.WriteString("\n" + job)
		rest = ""
	}
	return out.String()
}
