package operation

import (
	"testing"
	"time"
)

func TestServiceVerdict(t *testing.T) {
	running := Container{State: "running"}
	for name, c := range map[string]struct {
		service Service
		outcome ProbeOutcome
		message string
		blamed  int // index of the container, -1 for none
	}{
		"running without health check":             {Service{Replicas: 1, Containers: []Container{running}}, ProbePassed, "", -1},
		"healthy":                                  {Service{Replicas: 1, Containers: []Container{{State: "running", Health: "healthy"}}}, ProbePassed, "", -1},
		"starting":                                 {Service{Replicas: 1, Containers: []Container{{State: "running", Health: "starting"}}}, ProbeWaiting, "app: health is starting", 0},
		"unhealthy with a log":                     {Service{Replicas: 1, Containers: []Container{{State: "running", Health: "unhealthy", HealthLog: "refused"}}}, ProbeWaiting, "app: unhealthy: refused", 0},
		"unhealthy without a log":                  {Service{Replicas: 1, Containers: []Container{{State: "running", Health: "unhealthy"}}}, ProbeWaiting, "app: unhealthy", 0},
		"created":                                  {Service{Replicas: 1, Containers: []Container{{State: "created"}}}, ProbeWaiting, "app: created, not started", 0},
		"runs again since a second":                {Service{Replicas: 1, Containers: []Container{{State: "running", Health: "healthy", Restarts: 2, Up: time.Second}}}, ProbeWaiting, "app: restarted 2 times, runs for less than 10s", 0},
		"runs again since long":                    {Service{Replicas: 1, Containers: []Container{{State: "running", Restarts: 2, Up: time.Hour}}}, ProbePassed, "", -1},
		"runs since before the clock was set back": {Service{Replicas: 1, Containers: []Container{{State: "running", Restarts: 2, Up: -time.Hour}}}, ProbePassed, "", -1},
		"restarted twice":                          {Service{Replicas: 1, Containers: []Container{{State: "restarting", Restarts: 2, ExitCode: 1}}}, ProbeWaiting, "app: restarting after exit code 1", 0},
		"restarted three times":                    {Service{Replicas: 1, Containers: []Container{{State: "restarting", Restarts: 3, ExitCode: 7}}}, ProbeFailed, "app: crash loop: restarted 3 times, last exit code 7", 0},
		"exited":                                   {Service{Replicas: 1, Containers: []Container{{State: "exited", ExitCode: 2}}}, ProbeFailed, "app: exited with code 2", 0},
		"exited with 0":                            {Service{Replicas: 1, Containers: []Container{{State: "exited"}}}, ProbeFailed, "app: exited with code 0", 0},
		"one-shot that ended well":                 {Service{Replicas: 1, OneShot: true, Containers: []Container{{State: "exited"}}}, ProbePassed, "", -1},
		"one-shot that failed":                     {Service{Replicas: 1, OneShot: true, Containers: []Container{{State: "exited", ExitCode: 1}}}, ProbeFailed, "app: exited with code 1", 0},
		"one-shot out of memory":                   {Service{Replicas: 1, OneShot: true, Containers: []Container{{State: "exited", OOMKilled: true}}}, ProbeFailed, "app: killed for want of memory", 0},
		"out of memory":                            {Service{Replicas: 1, Containers: []Container{{State: "exited", OOMKilled: true, ExitCode: 137}}}, ProbeFailed, "app: killed for want of memory", 0},
		"paused":                                   {Service{Replicas: 1, Containers: []Container{{State: "paused"}}}, ProbeFailed, "app: is paused", 0},
		"dead":                                     {Service{Replicas: 1, Containers: []Container{{State: "dead"}}}, ProbeFailed, "app: is dead", 0},
		"missing":                                  {Service{Replicas: 1}, ProbeFailed, "app: 0 of 1 containers exist", -1},
		"one of two missing":                       {Service{Replicas: 2, Containers: []Container{running}}, ProbeFailed, "app: 1 of 2 containers exist", -1},
		"missing outranks waiting":                 {Service{Replicas: 2, Containers: []Container{{State: "created"}}}, ProbeFailed, "app: 1 of 2 containers exist", -1},
		"failed outranks missing":                  {Service{Replicas: 3, Containers: []Container{running, {State: "dead"}}}, ProbeFailed, "app: is dead", 1},
		"the worst container counts":               {Service{Replicas: 3, Containers: []Container{running, {State: "created"}, {State: "dead"}}}, ProbeFailed, "app: is dead", 2},
		"the first of two as bad":                  {Service{Replicas: 2, Containers: []Container{{State: "created"}, {State: "running", Health: "starting"}}}, ProbeWaiting, "app: created, not started", 0},
		"none wanted":                              {Service{}, ProbePassed, "", -1},
	} {
		c.service.Name = "app"
		outcome, message, blamed := c.service.Verdict()
		if outcome != c.outcome || message != c.message {
			t.Errorf("%s: %s, %q; want %s, %q", name, outcome, message, c.outcome, c.message)
		}
		if (c.blamed < 0) != (blamed == nil) || (blamed != nil && blamed != &c.service.Containers[c.blamed]) {
			t.Errorf("%s: blamed is %+v", name, blamed)
		}
	}
}

func TestSortServices(t *testing.T) {
	services := []Service{{Stack: "b", Name: "a"}, {Stack: "a", Name: "c"}, {Stack: "a", Name: "b"}}
	SortServices(services)
	if got := services[0].Name + services[1].Name + services[2].Name; got != "bca" {
		t.Errorf("order %s", got)
	}
}
