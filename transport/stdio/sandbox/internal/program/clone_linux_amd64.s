#include "textflag.h"

// Offsets within a call, see arena_linux.go.
#define ARG(n)	(8*(n)+8)(R12)
#define EARLIER	56(R12)
#define MODE	64(R12)
#define WANT	72(R12)
#define COPY	80(R12)
#define RESULT	88(R12)
#define SIZE	96

// LOAD puts argument n into a register, through its address if it is an earlier result.
#define LOAD(n, reg) \
	MOVQ	ARG(n), reg; \
	BTQ	$n, BX; \
	JCC	2(PC); \
	MOVQ	(reg), reg

// func clone(flags, stack, ops, status uintptr) (pid, errno uintptr)
//
// The child has no Go stack and no g. It keeps R12, the call, and R13, the status, in
// registers, which system calls preserve.
TEXT ·clone(SB),NOSPLIT|NOFRAME,$0-48
	MOVQ	flags+0(FP), DI
	MOVQ	stack+8(FP), SI
	MOVQ	ops+16(FP), R12
	MOVQ	status+24(FP), R13
	XORL	DX, DX
	XORL	R10, R10
	XORL	R8, R8
	MOVL	$56, AX // clone
	SYSCALL
	TESTQ	AX, AX
	JEQ	step
	CMPQ	AX, $-4095
	JCC	failed
	MOVQ	AX, pid+32(FP)
	MOVQ	$0, errno+40(FP)
	RET
failed:
	NEGQ	AX
	MOVQ	$0, pid+32(FP)
	MOVQ	AX, errno+40(FP)
	RET

step:
	MOVQ	EARLIER, BX
	LOAD(0, DI)
	LOAD(1, SI)
	LOAD(2, DX)
	LOAD(3, R10)
	LOAD(4, R8)
	LOAD(5, R9)
	MOVQ	(R12), AX
	SYSCALL
	MOVQ	AX, RESULT
	MOVQ	COPY, BX
	TESTQ	BX, BX
	JEQ	judge
	MOVL	AX, (BX)
judge:
	MOVQ	MODE, BX
	CMPQ	BX, $1
	JEQ	next
	JHI	equals
	CMPQ	AX, $-4095
	JCS	next
	JMP	stop
equals:
	CMPQ	AX, WANT
	JNE	stop
next:
	ADDQ	$SIZE, R12
	JMP	step

stop:
	MOVQ	AX, 8(R13)
	MOVQ	R12, 0(R13)
	MOVL	$126, DI
	MOVL	$231, AX // exit_group
	SYSCALL
	JMP	stop
