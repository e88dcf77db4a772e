package main

import (
	"bytes"
	"log"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

const (
	// A kubelet looks at its containers once a second, so that the end of one is seen late.
	relist = time.Second
	// A container that ended is started again at once, then after so long, and ever longer.
	firstBackOff = 10 * time.Second
)

// Seconds: the grace period of a pod that names none, and of all pods in the end.
var defaultGracePeriod, lastGracePeriod = int64(30), int64(5)

// A kubelet runs the first container of each pod as a local process.
type kubelet struct {
	store *store
	mu    sync.Mutex
	pods  map[key]*container
}

// A container is the process of a pod, one after another where it is started again.
type container struct {
	output      buffer
	gracePeriod *int64        // in seconds
	process     *os.Process   // nil where none runs
	deleted     chan struct{} // closed when the pod is to end
	ended       chan struct{} // closed when it has
}

func newKubelet(s *store) *kubelet {
	return &kubelet{store: s, pods: map[key]*container{}}
}

func (k *kubelet) run() {
	for version := 0; ; {
		events, err := k.store.after(version, func() bool { return false })
		if err != nil {
			log.Fatal(err)
		}
		for _, e := range events {
			version = e.version
			if e.plural == "pods" && e.kind == watch.Added {
				k.start(e.object)
			}
		}
	}
}

func (k *kubelet) start(o *object) {
	pod := &corev1.Pod{}
	if err := k8sruntime.DefaultUnstructuredConverter.FromUnstructured(o.Object, pod); err != nil {
		log.Fatal(err)
	}
	c := &container{deleted: make(chan struct{}), ended: make(chan struct{})}
	c.gracePeriod = pod.Spec.TerminationGracePeriodSeconds
	if c.gracePeriod == nil {
		c.gracePeriod = &defaultGracePeriod
	}
	k.mu.Lock()
	k.pods[key{"pods", pod.Namespace, pod.Name}] = c
	k.mu.Unlock()
	go k.runPod(pod, c)
}

func (k *kubelet) runPod(pod *corev1.Pod, c *container) {
	runtime.LockOSThread() // a parent's death, for prctl(2), is its thread's
	name := key{"pods", pod.Namespace, pod.Name}
	status := corev1.ContainerStatus{Name: pod.Spec.Containers[0].Name}
	policy := pod.Spec.RestartPolicy
	for backOff := time.Duration(0); !isClosed(c.deleted); backOff = 2*backOff + firstBackOff {
		if !wait(backOff, c.deleted) {
			break
		}
		exitCode, started := k.runProcess(pod, c, name, status)
		if !started {
			break
		}
		time.Sleep(relist)
		status.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: exitCode, FinishedAt: metav1.Now()}}
		phase := corev1.PodRunning // as long as it is started again
		if policy == corev1.RestartPolicyNever || policy == corev1.RestartPolicyOnFailure && exitCode == 0 {
			phase = corev1.PodSucceeded
			if exitCode != 0 {
				phase = corev1.PodFailed
			}
		}
		k.show(name, phase, status)
		if phase != corev1.PodRunning {
			break
		}
		status.LastTerminationState = status.State
		status.RestartCount++
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	close(c.ended)
	if isClosed(c.deleted) {
		k.store.remove(name)
	}
}

// runProcess runs a pod's process to its end, if the pod has not been deleted before.
func (k *kubelet) runProcess(pod *corev1.Pod, c *container, name key, status corev1.ContainerStatus) (int32, bool) {
	cmd := command(pod, &c.output)
	k.mu.Lock()
	if isClosed(c.deleted) {
		k.mu.Unlock()
		return 0, false
	}
	if err := cmd.Start(); err != nil {
		log.Fatal(err)
	}
	c.process = cmd.Process
	k.mu.Unlock()
	status.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}
	k.show(name, corev1.PodRunning, status)
	_ = cmd.Wait() // what became of it is in its state
	k.mu.Lock()
	c.process = nil
	k.mu.Unlock()
	return int32(cmd.ProcessState.ExitCode()), true
}

func command(pod *corev1.Pod, output *buffer) *exec.Cmd {
	container := pod.Spec.Containers[0]
	cmd := exec.Command(container.Command[0], append(container.Command[1:], container.Args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	for _, variable := range container.Env {
		value := variable.Value
		if from := variable.ValueFrom; from != nil && from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.namespace" {
			value = pod.Namespace
		}
		cmd.Env = append(cmd.Env, variable.Name+"="+value)
	}
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	return cmd
}

func (k *kubelet) show(name key, phase corev1.PodPhase, container corev1.ContainerStatus) {
	status := corev1.PodStatus{Phase: phase, ContainerStatuses: []corev1.ContainerStatus{container}}
	content, err := k8sruntime.DefaultUnstructuredConverter.ToUnstructured(&status)
	if err != nil {
		log.Fatal(err)
	}
	_, _ = k.store.update(name, func(o *object) error {
		o.Object["status"] = content
		return nil
	})
}

// end ends a pod as its deletion does: SIGTERM, and SIGKILL when its grace period is over,
// the pod's own unless there is another. It returns false where there is nothing to wait for.
func (k *kubelet) end(name key, gracePeriod *int64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.pods[name]
	if c == nil || isClosed(c.ended) {
		return false
	}
	if gracePeriod == nil {
		gracePeriod = c.gracePeriod
	}
	if !isClosed(c.deleted) {
		close(c.deleted)
		c.signal(syscall.SIGTERM)
	}
	time.AfterFunc(time.Duration(*gracePeriod)*time.Second, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		c.signal(syscall.SIGKILL)
	})
	return true
}

// stop ends every pod, with little patience.
func (k *kubelet) stop() {
	k.mu.Lock()
	pods := k.pods
	k.mu.Unlock()
	for name := range pods {
		k.end(name, &lastGracePeriod)
	}
	for _, c := range pods {
		<-c.ended
	}
}

func (k *kubelet) output(name key) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c := k.pods[name]; c != nil {
		return c.output.bytes()
	}
	return nil
}

func (c *container) signal(signal syscall.Signal) {
	if c.process != nil {
		_ = c.process.Signal(signal)
	}
}

// wait waits for so long, or until stop is closed, and tells whether it was that long.
func wait(duration time.Duration, stop chan struct{}) bool {
	select {
	case <-time.After(duration):
		return true
	case <-stop:
		return false
	}
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// A buffer may be read while it is written.
type buffer struct {
	mu   sync.Mutex
	data bytes.Buffer
}

func (b *buffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.Write(data)
}

func (b *buffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.data.Bytes())
}
