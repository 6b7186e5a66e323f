package picture

import (
	"testing"
	"time"
)

func TestServiceVerdict(t *testing.T) {
	running := Container{State: "running"}
	for name, c := range map[string]struct {
		service Service
		outcome Verdict
		message string
		blamed  int // index of the container, -1 for none
	}{
		"running without health check":             {Service{Replicas: 1, Containers: []Container{running}}, Passed, "", -1},
		"healthy":                                  {Service{Replicas: 1, Containers: []Container{{State: "running", Health: "healthy"}}}, Passed, "", -1},
		"starting":                                 {Service{Replicas: 1, Containers: []Container{{State: "running", Health: "starting"}}}, Waiting, "app: health is starting", 0},
		"unhealthy with a log":                     {Service{Replicas: 1, Containers: []Container{{State: "running", Health: "unhealthy", HealthLog: "refused"}}}, Waiting, "app: unhealthy: refused", 0},
		"unhealthy without a log":                  {Service{Replicas: 1, Containers: []Container{{State: "running", Health: "unhealthy"}}}, Waiting, "app: unhealthy", 0},
		"created":                                  {Service{Replicas: 1, Containers: []Container{{State: "created"}}}, Waiting, "app: created, not started", 0},
		"runs again since a second":                {Service{Replicas: 1, Containers: []Container{{State: "running", Health: "healthy", Restarts: 2, Up: time.Second}}}, Waiting, "app: restarted 2 times, runs for less than 10s", 0},
		"runs again since long":                    {Service{Replicas: 1, Containers: []Container{{State: "running", Restarts: 2, Up: time.Hour}}}, Passed, "", -1},
		"runs since before the clock was set back": {Service{Replicas: 1, Containers: []Container{{State: "running", Restarts: 2, Up: -time.Hour}}}, Passed, "", -1},
		"restarted twice":                          {Service{Replicas: 1, Containers: []Container{{State: "restarting", Restarts: 2, ExitCode: 1}}}, Waiting, "app: restarting after exit code 1", 0},
		"restarted three times":                    {Service{Replicas: 1, Containers: []Container{{State: "restarting", Restarts: 3, ExitCode: 7}}}, Failed, "app: crash loop: restarted 3 times, last exit code 7", 0},
		"exited":                                   {Service{Replicas: 1, Containers: []Container{{State: "exited", ExitCode: 2}}}, Failed, "app: exited with code 2", 0},
		"exited with 0":                            {Service{Replicas: 1, Containers: []Container{{State: "exited"}}}, Failed, "app: exited with code 0", 0},
		"one-shot that ended well":                 {Service{Replicas: 1, OneShot: true, Containers: []Container{{State: "exited"}}}, Passed, "", -1},
		"one-shot that failed":                     {Service{Replicas: 1, OneShot: true, Containers: []Container{{State: "exited", ExitCode: 1}}}, Failed, "app: exited with code 1", 0},
		"one-shot out of memory":                   {Service{Replicas: 1, OneShot: true, Containers: []Container{{State: "exited", OOMKilled: true}}}, Failed, "app: killed for want of memory", 0},
		"out of memory":                            {Service{Replicas: 1, Containers: []Container{{State: "exited", OOMKilled: true, ExitCode: 137}}}, Failed, "app: killed for want of memory", 0},
		"paused":                                   {Service{Replicas: 1, Containers: []Container{{State: "paused"}}}, Failed, "app: is paused", 0},
		"dead":                                     {Service{Replicas: 1, Containers: []Container{{State: "dead"}}}, Failed, "app: is dead", 0},
		"missing":                                  {Service{Replicas: 1}, Failed, "app: 0 of 1 containers exist", -1},
		"one of two missing":                       {Service{Replicas: 2, Containers: []Container{running}}, Failed, "app: 1 of 2 containers exist", -1},
		"missing outranks waiting":                 {Service{Replicas: 2, Containers: []Container{{State: "created"}}}, Failed, "app: 1 of 2 containers exist", -1},
		"failed outranks missing":                  {Service{Replicas: 3, Containers: []Container{running, {State: "dead"}}}, Failed, "app: is dead", 1},
		"the worst container counts":               {Service{Replicas: 3, Containers: []Container{running, {State: "created"}, {State: "dead"}}}, Failed, "app: is dead", 2},
		"the first of two as bad":                  {Service{Replicas: 2, Containers: []Container{{State: "created"}, {State: "running", Health: "starting"}}}, Waiting, "app: created, not started", 0},
		"none wanted":                              {Service{}, Passed, "", -1},
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
