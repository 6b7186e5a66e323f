package console

import (
	"fmt"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// services writes a table a stack, in the order given, then those that no compose file names, then how many services are ready.
func (p *page) services(all []*landfallv1.Service) {
	var services, unnamed []*landfallv1.Service
	for _, s := range all {
		if s.GetUnnamed() {
			unnamed = append(unnamed, s)
		} else {
			services = append(services, s)
		}
	}
	ready := 0
	for start := 0; start < len(services); {
		stack, end := services[start].GetStack(), start
		for ; end < len(services) && services[end].GetStack() == stack; end++ {
			if services[end].GetReady() {
				ready++
			}
		}
		p.stack(services[start:end])
		start = end
	}
	p.unnamed(unnamed)
	c := green
	if ready < len(services) {
		c = red
	}
	p.printf("\n%s\n", p.paint(c, fmt.Sprintf("%d of %s ready", ready, count(len(services), "service"))))
}

// unnamed writes the services that no compose file of the checkout names. Whether they should be there only a person knows.
func (p *page) unnamed(services []*landfallv1.Service) {
	if len(services) == 0 {
		return
	}
	p.heading("left over or started by hand " + p.paint(dim, "(no compose file names them)"))
	t := table{header: []string{"SERVICE", "PROJECT", "STATE", "HEALTH", "UPTIME", "RESTARTS", "IMAGE"}, right: []int{5}, elastic: 6}
	for _, s := range services {
		for i, row := range p.service(s) {
			row[1] = cell{}
			if i == 0 {
				row[1] = cell{text: clean(s.GetProject())}
			}
			t.rows = append(t.rows, row)
		}
	}
	p.table(t, 2)
}

func (p *page) stack(services []*landfallv1.Service) {
	title := clean(services[0].GetStack())
	if project := clean(services[0].GetProject()); project != "" && project != title {
		title += " (project " + project + ")"
	}
	p.heading("stack " + title)
	t := table{
		header: []string{"SERVICE", "READY", "STATE", "HEALTH", "UPTIME", "RESTARTS", "IMAGE"}, right: []int{5}, elastic: 6, notes: map[int]string{},
	}
	for _, s := range services {
		t.rows = append(t.rows, p.service(s)...)
		if !s.GetReady() {
			t.notes[len(t.rows)-1] = clean(s.GetProblem())
		}
	}
	p.table(t, 2)
}

// service is a row a container; the ones after the first carry no name.
func (p *page) service(s *landfallv1.Service) [][]cell {
	ready := cell{"no", red}
	if s.GetReady() {
		ready = cell{"yes", green}
	}
	first := []cell{{text: clean(s.GetName())}, ready}
	image := cell{text: clean(s.GetImage()), colour: dim}
	if len(s.GetContainers()) == 0 {
		return [][]cell{append(first, cell{"no container", dim}, cell{}, cell{}, cell{}, image)}
	}
	var rows [][]cell
	for _, c := range s.GetContainers() {
		uptime := ""
		if c.GetState() == "running" {
			uptime = Duration(between(c.GetStartTime(), nil, p.Now))
		}
		rows = append(rows, append(first,
			containerState(c), containerHealth(c), cell{text: uptime}, restarts(c), image))
		first, image = []cell{{}, {}}, cell{}
	}
	return rows
}

// serviceProblem is what is wrong with a service. An agent that does not say it is judged by the containers.
func serviceProblem(s *landfallv1.Service) string {
	if text := clean(s.GetProblem()); text != "" {
		return text
	}
	if len(s.GetContainers()) == 0 {
		return "no container"
	}
	c := s.GetContainers()[0]
	text := containerState(c).text
	if health := clean(c.GetHealth()); health != "" {
		text += ", " + health
	}
	return text
}

func containerState(c *landfallv1.Container) cell {
	text := clean(c.GetState())
	switch {
	case text == "running":
		return cell{text: text}
	case c.GetOomKilled():
		return cell{fmt.Sprintf("%s (%d, out of memory)", text, c.GetExitCode()), red}
	case text == "exited", text == "dead":
		at := cell{text: fmt.Sprintf("%s (%d)", text, c.GetExitCode())}
		if c.GetExitCode() != 0 {
			at.colour = red
		}
		return at
	}
	return cell{text, yellow}
}

func containerHealth(c *landfallv1.Container) cell {
	switch text := clean(c.GetHealth()); text {
	case "healthy":
		return cell{text, green}
	case "unhealthy":
		return cell{text, red}
	default:
		return cell{text, yellow}
	}
}

func restarts(c *landfallv1.Container) cell {
	n := c.GetRestartCount()
	if n == 0 {
		return cell{text: "0"}
	}
	return cell{fmt.Sprint(n), yellow}
}
