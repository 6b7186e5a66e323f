package pipeline

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
)

// Digest is "sha256:" with 64 hexadecimal digits over everything the agent will do.
// What only explains the plan (flags, causes, paths, counts) is left out, so that both
// sides agree on the deed even where they tell the story differently. It is the same
// after the plan has travelled as JSON (TestDigestSurvivesJSON). The panic guards against a Plan
// made by hand whose probe JSON is no JSON.
func (p *Plan) Digest() string {
	deed := *p
	deed.Flags, deed.Unclaimed, deed.UnclaimedCount, deed.Everything = nil, nil, 0, ""
	deed.Steps = slices.Clone(p.Steps)
	for i := range deed.Steps {
		deed.Steps[i].Flags = nil
	}
	deed.Verify.Probes = slices.Clone(p.Verify.Probes)
	for i, probe := range deed.Verify.Probes {
		if probe.HTTP != nil {
			http := *probe.HTTP
			http.JSON = canonicalJSON(http.JSON)
			deed.Verify.Probes[i].HTTP = &http
		}
	}
	text, err := json.Marshal(deed)
	if err != nil {
		panic(fmt.Sprintf("pipeline: plan is not JSON: %v", err))
	}
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// canonicalJSON gives equal documents equal bytes: keys sorted, no spaces, numbers as
// 64-bit floats are written. [Parse] refuses numbers that these do not hold exactly.
func canonicalJSON(text json.RawMessage) json.RawMessage {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	var value any
	if json.Unmarshal(text, &value) != nil {
		return text
	}
	canonical, err := json.Marshal(value)
	if err != nil {
		return text
	}
	return canonical
}
