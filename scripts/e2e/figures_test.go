package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/identity"
)

// A build prints as fast as it can: every line is on disk before it is told, and Status
// answers meanwhile.
func TestStatusWhileABuildRuns(t *testing.T) {
	h := tinyHost(t)
	h.startAgent()
	sha := h.push("noise", map[string]string{"noise/print.sh": fmt.Sprintf("#!/bin/sh\nexec seq -f 'line %%.0f of a long build log' 1 %d\n", longLog)})
	getHost, services, pause := h.looks()
	measure(t, 100, getHost).require(t, "GetHost, idle")
	f := h.followRun(h.address, sha)
	h.eventually(20*time.Second, "the build prints", func() bool { return strings.Contains(f.stderr.String(), "line 1 of") })
	measure(t, 50, getHost).require(t, "GetHost while a build prints")
	measure(t, 10, services).require(t, "ListServices while a build prints")
	measure(t, 50, pause).require(t, "Pause while a build prints")
	f.ends(0)

	diagnostics := landfallv1.NewDiagnosticsServiceClient(h.dial(identity.RoleObserver))
	resp, err := diagnostics.GetOperation(t.Context(), &landfallv1.GetOperationRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range resp.GetOperation().GetSteps() {
		if took := step.GetEndTime().AsTime().Sub(step.GetStartTime().AsTime()); step.GetId() == "build/noise/1" && took > 0 {
			t.Logf("recorded and streamed: %d lines in %s, %.0f events/s through journal and Execute", longLog, took.Round(time.Millisecond), longLog/took.Seconds())
		}
	}
	began, events := time.Now(), 0
	watch, err := diagnostics.WatchOperation(t.Context(), &landfallv1.WatchOperationRequest{})
	for err == nil {
		var batch *landfallv1.WatchOperationResponse
		if batch, err = watch.Recv(); err == nil {
			events += len(batch.GetBatch().GetEvents())
		}
	}
	if events < longLog || context.Cause(t.Context()) != nil {
		t.Errorf("%d events read again, %v", events, err)
	}
	t.Logf("read again from the journal: %d events, %.0f events/s", events, float64(events)/time.Since(began).Seconds())
}
