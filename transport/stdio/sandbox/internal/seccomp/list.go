//go:build linux

package seccomp

import "strings"

// allowed is the published list: calls that run whatever their arguments are. Those with
// a rule for their arguments are in rules.go. Names of one architecture only are skipped
// on the other.
var allowed = words(
	// Files by descriptor.
	`read write readv writev pread64 pwrite64 preadv preadv2 pwritev pwritev2 lseek close
	close_range dup dup2 dup3 fcntl flock fsync fdatasync sync sync_file_range syncfs fallocate
	ftruncate fadvise64 readahead copy_file_range sendfile splice tee fstat fstatfs getdents
	getdents64 fchmod fchown fgetxattr flistxattr fsetxattr fremovexattr cachestat`,
	// Files by path, which Landlock and the mount namespace judge.
	`open openat openat2 creat access faccessat faccessat2 stat lstat newfstatat statx statfs
	readlink readlinkat mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat
	symlink symlinkat truncate chmod fchmodat fchmodat2 chown lchown fchownat utime utimes
	futimesat utimensat getxattr lgetxattr getxattrat listxattr llistxattr listxattrat setxattr
	lsetxattr setxattrat removexattr lremovexattr removexattrat getcwd chdir fchdir umask
	inotify_init inotify_init1 inotify_add_watch inotify_rm_watch`,
	// Memory.
	`brk mmap munmap mprotect mremap madvise mincore msync mlock mlock2 mlockall munlock
	munlockall membarrier pkey_alloc pkey_free pkey_mprotect mseal map_shadow_stack`,
	// Processes and threads of its own.
	`fork vfork execve exit exit_group wait4 waitid getpid getppid gettid getpgid getpgrp getsid
	setpgid setsid getuid geteuid getgid getegid getresuid getresgid getgroups setuid setgid
	setreuid setregid setresuid setresgid setfsuid setfsgid setgroups capget capset set_tid_address
	set_robust_list get_robust_list rseq rseq_slice_yield futex futex_wait futex_wake futex_requeue
	futex_waitv sched_yield sched_getaffinity sched_getparam sched_getscheduler sched_getattr
	sched_get_priority_max sched_get_priority_min sched_rr_get_interval getcpu getrlimit setrlimit
	getrusage getpriority ioprio_get times arch_prctl set_thread_area get_thread_area
	restart_syscall process_mrelease`,
	// Signals, which the PID namespace or Landlock's scope keeps inside.
	`rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait
	rt_sigqueueinfo rt_tgsigqueueinfo sigaltstack kill tkill tgkill pidfd_open pidfd_send_signal
	signalfd signalfd4 pause alarm`,
	// Time.
	`time gettimeofday clock_gettime clock_getres clock_nanosleep nanosleep getitimer setitimer
	timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create
	timerfd_gettime timerfd_settime`,
	// Waiting for many things.
	`poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_wait
	epoll_wait_old epoll_pwait epoll_pwait2 eventfd eventfd2 pipe pipe2 io_setup io_destroy
	io_submit io_cancel io_getevents io_pgetevents`,
	// Sockets that exist; which kinds can be made is in rules.go.
	`accept accept4 bind listen getsockname getpeername getsockopt setsockopt recvfrom recvmsg
	recvmmsg shutdown`,
	// The kernel's answers about the machine.
	`uname sysinfo getrandom`,
	// What only makes the sandbox narrower.
	`landlock_create_ruleset landlock_add_rule landlock_restrict_self`,
)

// shared are calls on what the process has in common with the host where it has no PID
// and IPC namespace: System V memory, message queues, and scheduling by process number.
// With namespaces they are allowed.
var shared = words(
	`shmget shmat shmdt shmctl semget semop semtimedop semctl msgget msgsnd msgrcv msgctl
	mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr`,
)

// byPath change what Landlock does not judge: mode, owner, times and attributes of any
// file of the same user. They are refused where no mount namespace hides such files.
var byPath = words(
	`chmod fchmodat fchmodat2 chown lchown fchownat utime utimes futimesat setxattr lsetxattr
	setxattrat removexattr lremovexattr removexattrat`,
)

// byDescriptor do the same with a file that Landlock let be opened, maybe for reading only.
var byDescriptor = words(`fchmod fchown fsetxattr fremovexattr`)

// absent answer ENOSYS, so that runtimes fall back without a word: clone3 and io_uring
// have their arguments in memory, where no filter can read them.
var absent = words(`clone3 io_uring_setup io_uring_enter io_uring_register`)

// breaking are refused even if a profile asks for them: each changes the sandbox itself,
// another process or the kernel, or reaches files past every check.
var breaking = words(
	`clone3 io_uring_setup io_uring_enter io_uring_register`,
	// Mounts, roots and namespaces.
	`mount umount2 pivot_root chroot unshare setns fsopen fsconfig fsmount fspick open_tree
	open_tree_attr move_mount mount_setattr quotactl quotactl_fd swapon swapoff`,
	// Other processes.
	`ptrace process_vm_readv process_vm_writev process_madvise pidfd_getfd kcmp`,
	// The kernel: its code, its counters, its log, its clock.
	`bpf perf_event_open userfaultfd init_module finit_module delete_module create_module
	kexec_load kexec_file_load reboot acct syslog iopl ioperm modify_ldt settimeofday
	clock_settime clock_adjtime adjtimex sethostname setdomainname vhangup nfsservctl
	lookup_dcookie uselib lsm_set_self_attr uprobe uretprobe`,
	// Files past the path, and keys.
	`open_by_handle_at name_to_handle_at fanotify_init fanotify_mark keyctl add_key request_key
	file_setattr`,
)

func words(groups ...string) []string { return strings.Fields(strings.Join(groups, " ")) }
