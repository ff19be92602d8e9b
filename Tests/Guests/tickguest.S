# tickguest: a tiny bare-metal x86 guest for tests of a host of virtual machines.
#
# One flat binary, linked at 0x7c00: a 512-byte boot sector followed by a
# 32-bit payload (loaded by the boot sector with BIOS int 13h extensions).
# Everything the guest does is on COM1 (0x3f8), one numbered line at a time:
#
#     [0000000a] tick 3\r\n
#
# The number in brackets counts every line since boot in hexadecimal, so a
# reader can prove that no byte was lost or repeated. See README.md for the
# command language.
#
# Build: see build.py (GNU as + ld, nothing else).

        .set    COM1,       0x3f8
        .set    PAYLOAD_SECTORS, 15         # sectors 1..15 of the disk
        .set    HZ,         20
        .set    PIT_DIV,    59659           # 1193182 / 20
        .set    IDT,        0x1000          # 256 * 8 bytes
        .set    DISKBUF,    0x2000          # 512 bytes
        .set    DIRTY_BASE, 0x100000        # 1 MiB

        .text
        .code16
        .globl  _start
_start:
        cli
        ljmp    $0, $real
real:
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        sti
        movb    %dl, bootdrive
        movw    $5, %bp                     # retries
read_again:
        movw    $dap, %si
        movb    bootdrive, %dl
        movb    $0x42, %ah
        int     $0x13
        jnc     read_ok
        decw    %bp
        jnz     read_again
        movw    $msg_diskfail, %si
        jmp     die16
read_ok:
        cmpl    $0x4b434954, magic          # "TICK"
        je      go32
        movw    $msg_badimg, %si
die16:
        movw    $COM1, %dx
1:      lodsb
        testb   %al, %al
        jz      2f
        outb    %al, %dx
        jmp     1b
2:      hlt
        jmp     2b
go32:
        movw    $0x2401, %ax                # A20 on (already on under SeaBIOS)
        int     $0x15
        cli
        lgdtw   gdtr
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmpl   $0x08, $start32

        .balign 4
dap:    .byte   16, 0
        .word   PAYLOAD_SECTORS
        .word   0x7e00, 0
        .quad   1
gdt:    .quad   0
        .quad   0x00cf9a000000ffff          # 0x08: flat code
        .quad   0x00cf92000000ffff          # 0x10: flat data
gdtr:   .word   23
        .long   gdt
bootdrive:      .byte 0
msg_diskfail:   .asciz "tickguest: disk read failed\r\n"
msg_badimg:     .asciz "tickguest: bad image\r\n"

        .org    510
        .word   0xaa55

# ---------------------------------------------------------------- payload --
        .code32
magic:  .ascii  "TICK"
start32:
        movw    $0x10, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    %ax, %fs
        movw    %ax, %gs
        movl    $0x7c00, %esp
        cld
        call    idt_init
        call    uart_init
        call    pm_init
        call    pic_pit_init
        sti

        # banner
        call    line_begin
        movl    $s_banner, %esi
        call    puts
        call    put_uuid
        movl    $s_ram, %esi
        call    puts
        movw    $3, %ax                     # fw_cfg: RAM size, 64 bit LE
        call    fwcfg_u32
        shrl    $20, %eax
        call    putdec
        movl    $s_cpus, %esi
        call    puts
        movw    $5, %ax                     # fw_cfg: number of CPUs
        call    fwcfg_u32
        andl    $0xffff, %eax
        call    putdec
        movl    $s_pm, %esi
        call    puts
        movzwl  pmbase, %eax
        call    puthex4
        movl    $s_cfg, %esi
        call    puts
        call    put_cfgdrive
        call    line_end
        movl    $s_ready, %esi
        call    say

# main loop: flags are set by the interrupt handlers
main:
        cmpb    $0, f_button
        je      1f
        movb    $0, f_button
        cmpb    $0, ignore_button
        jne     2f
        movl    $s_button, %esi
        call    say
        jmp     poweroff
2:      movl    $s_button_ign, %esi
        call    say
1:
        call    take_line                   # a whole command line waiting?
        jc      3f
        call    command
        jmp     main
3:
        cmpl    $0, blast
        je      4f
        call    blast_line
        decl    blast
        jnz     main
        movl    $s_blastdone, %esi
        call    say
        jmp     main
4:
        call    do_tick
        cmpl    $0, dirty_pages
        je      5f
        call    dirty_pass
        jmp     main
5:
        cmpb    $0, spin
        jne     main
        cli                                 # sleep only if nothing came in
        cmpb    $0, f_button
        jne     6f
        movl    rx_head, %eax
        cmpl    rx_tail, %eax
        jne     6f
        movl    jiffies, %eax
        cmpl    seen_jiffies, %eax
        jne     6f
        sti
        hlt
        jmp     main
6:      sti
        jmp     main

# one "tick n" line every tick_interval jiffies (0: silent)
do_tick:
        movl    jiffies, %eax
        movl    %eax, seen_jiffies
        cmpl    $0, tick_interval
        je      9f
        subl    last_tick, %eax
        cmpl    tick_interval, %eax
        jb      9f
        movl    jiffies, %eax
        movl    %eax, last_tick
        incl    ticks
        call    line_begin
        movl    $s_tick, %esi
        call    puts
        movl    ticks, %eax
        call    putdec
        call    line_end
9:      ret

# a 64-byte line: "[xxxxxxxx] b" + 50 letters + CRLF
blast_line:
        call    line_begin
        movb    $'b', %al
        call    putc
        movl    lineno, %ebx
        movl    $50, %ecx
1:      movl    %ebx, %eax
        xorl    %edx, %edx
        movl    $26, %edi
        divl    %edi
        movl    %edx, %eax
        addb    $'a', %al
        call    putc
        incl    %ebx
        decl    %ecx
        jnz     1b
        jmp     line_end

# add one to the first word of every page of the dirtied range
dirty_pass:
        movl    $DIRTY_BASE, %edi
        movl    dirty_pages, %ecx
1:      incl    (%edi)
        addl    $4096, %edi
        decl    %ecx
        jnz     1b
        incl    dirty_passes
        ret

# ---------------------------------------------------------------- commands --
# linebuf holds a NUL-terminated command: one letter, then a hex argument
command:
        call    line_begin
        movl    $s_rx, %esi
        call    puts
        movl    $linebuf, %esi
        call    puts
        call    line_end
        movl    $linebuf+1, %esi
        call    gethex                      # -> %eax
        movb    linebuf, %bl
        cmpb    $'t', %bl
        je      c_tick
        cmpb    $'b', %bl
        je      c_blast
        cmpb    $'d', %bl
        je      c_dirty
        cmpb    $'c', %bl
        je      c_check
        cmpb    $'i', %bl
        je      c_ignore
        cmpb    $'l', %bl
        je      c_spin
        cmpb    $'w', %bl
        je      c_write
        cmpb    $'v', %bl
        je      c_verify
        cmpb    $'p', %bl
        je      poweroff
        cmpb    $'r', %bl
        je      reset
        cmpb    $'x', %bl
        je      crash
        cmpb    $'h', %bl
        je      hang
        cmpb    $'s', %bl
        je      c_status
        movl    $s_unknown, %esi
        jmp     say
c_tick: movl    %eax, tick_interval
        ret
c_blast:
        movl    %eax, blast
        ret
c_ignore:
        movb    %al, ignore_button
        ret
c_spin: movb    %al, spin
        ret
c_dirty:                                    # argument: MiB
        shll    $8, %eax
        movl    %eax, %ecx
        movl    %eax, dirty_pages
        movl    $0, dirty_passes
        testl   %ecx, %ecx
        jz      2f
        movl    %ecx, dirty_last
        movl    $DIRTY_BASE, %edi           # fill, so pages are not all zero
1:      movl    $0, (%edi)
        movl    %edi, 8(%edi)
        addl    $4096, %edi
        decl    %ecx
        jnz     1b
2:      ret
c_check:                                    # is every page as it should be?
        movl    $DIRTY_BASE, %edi
        movl    dirty_last, %ecx
        movl    (%edi), %edx
        xorl    %ebx, %ebx                  # bad pages
        testl   %ecx, %ecx
        jz      3f
1:      cmpl    %edx, (%edi)
        jne     2f
        cmpl    %edi, 8(%edi)
        je      4f
2:      incl    %ebx
4:      addl    $4096, %edi
        decl    %ecx
        jnz     1b
3:      call    line_begin
        movl    $s_check, %esi
        call    puts
        movl    dirty_last, %eax
        call    putdec
        movl    $s_bad, %esi
        call    puts
        movl    %ebx, %eax
        call    putdec
        movl    $s_passes, %esi
        call    puts
        movl    %edx, %eax
        call    putdec
        jmp     line_end
c_status:
        call    line_begin
        movl    $s_status, %esi
        call    puts
        movl    jiffies, %eax
        call    putdec
        movl    $s_passes, %esi
        call    puts
        movl    dirty_passes, %eax
        call    putdec
        jmp     line_end
c_write:                                    # fill sector N of disk 0
        movl    %eax, %ebx
        movl    $DISKBUF, %edi
        movl    $128, %ecx
1:      movl    %ebx, (%edi)
        addl    %ecx, (%edi)
        addl    $4, %edi
        decl    %ecx
        jnz     1b
        movb    $0xe0, %dl                  # master
        call    ata_write
        jc      ata_bad
        movl    $s_written, %esi
        jmp     say
c_verify:                                   # is sector N as c_write wrote it?
        movl    %eax, %ebx
        movb    $0xe0, %dl
        call    ata_read
        jc      ata_bad
        movl    $DISKBUF, %edi
        movl    $128, %ecx
1:      movl    %ebx, %eax
        addl    %ecx, %eax
        cmpl    (%edi), %eax
        jne     2f
        addl    $4, %edi
        decl    %ecx
        jnz     1b
        movl    $s_same, %esi
        jmp     say
2:      movl    $s_differs, %esi
        jmp     say
ata_bad:
        movl    $s_nodisk, %esi
        jmp     say

poweroff:                                   # ACPI S5
        movl    $s_poweroff, %esi
        call    say
        cmpw    $0, pmbase
        je      hang
        movw    pmbase, %dx
        addw    $4, %dx
        movw    $0x2000, %ax
        outw    %ax, %dx
hang:   cli
1:      hlt
        jmp     1b
reset:  movl    $s_reset, %esi
        call    say
        movb    $0xfe, %al
        outb    %al, $0x64
        jmp     hang
crash:  movl    $s_crash, %esi
        call    say
        lidt    idtr_none
        int3
        jmp     hang

# ------------------------------------------------------------------ output --
say:    call    line_begin
        call    puts
line_end:
        movb    $13, %al
        call    putc
        movb    $10, %al
        jmp     putc
line_begin:
        pushl   %eax
        movb    $'[', %al
        call    putc
        movl    lineno, %eax
        call    puthex8
        incl    lineno
        movb    $']', %al
        call    putc
        movb    $' ', %al
        call    putc
        popl    %eax
        ret
puts:   movb    (%esi), %al
        testb   %al, %al
        jz      1f
        call    putc
        incl    %esi
        jmp     puts
1:      ret
# wait until the UART takes a byte; if it does not for a while, sleep a tick
putc:   pushl   %edx
        pushl   %ecx
        pushl   %eax
1:      movl    $16384, %ecx
        movw    $COM1+5, %dx
2:      inb     %dx, %al
        testb   $0x20, %al
        jnz     3f
        decl    %ecx
        jnz     2b
        hlt
        jmp     1b
3:      popl    %eax
        movw    $COM1, %dx
        outb    %al, %dx
        popl    %ecx
        popl    %edx
        ret
puthex8:
        pushl   %ecx
        movl    $8, %ecx
        jmp     1f
puthex4:
        pushl   %ecx
        shll    $16, %eax
        movl    $4, %ecx
        jmp     1f
puthex2:
        pushl   %ecx
        shll    $24, %eax
        movl    $2, %ecx
1:      roll    $4, %eax
        pushl   %eax
        andb    $15, %al
        addb    $'0', %al
        cmpb    $'9', %al
        jbe     2f
        addb    $39, %al
2:      call    putc
        popl    %eax
        decl    %ecx
        jnz     1b
        popl    %ecx
        ret
putdec: pushl   %ebx
        pushl   %ecx
        pushl   %edx
        xorl    %ecx, %ecx
        movl    $10, %ebx
1:      xorl    %edx, %edx
        divl    %ebx
        pushl   %edx
        incl    %ecx
        testl   %eax, %eax
        jnz     1b
2:      popl    %eax
        addb    $'0', %al
        call    putc
        decl    %ecx
        jnz     2b
        popl    %edx
        popl    %ecx
        popl    %ebx
        ret
gethex: xorl    %eax, %eax
1:      movzbl  (%esi), %ecx
        incl    %esi
        cmpb    $' ', %cl
        je      1b
        subb    $'0', %cl
        js      9f
        cmpb    $9, %cl
        jbe     2f
        orb     $0x20, %cl
        subb    $39, %cl
        cmpb    $10, %cl
        jb      9f
        cmpb    $15, %cl
        ja      9f
2:      shll    $4, %eax
        orl     %ecx, %eax
        jmp     1b
9:      ret

# ---------------------------------------------------------------- hardware --
fwcfg_sel:                                  # %ax: item
        movw    $0x510, %dx
        outw    %ax, %dx
        ret
fwcfg_u32:
        call    fwcfg_sel
        movw    $0x511, %dx
        movl    $4, %ecx
1:      inb     %dx, %al
        rorl    $8, %eax
        decl    %ecx
        jnz     1b
        ret
put_uuid:                                   # fw_cfg item 2: 16 bytes
        movw    $2, %ax
        call    fwcfg_sel
        xorl    %ecx, %ecx
1:      cmpl    $4, %ecx
        je      2f
        cmpl    $6, %ecx
        je      2f
        cmpl    $8, %ecx
        je      2f
        cmpl    $10, %ecx
        jne     3f
2:      movb    $'-', %al
        call    putc
3:      movw    $0x511, %dx
        inb     %dx, %al
        call    puthex2
        incl    %ecx
        cmpl    $16, %ecx
        jb      1b
        ret

# label of a config drive on the primary slave: ISO 9660, else FAT
put_cfgdrive:
        movl    $64, %ebx                   # ISO sector 16 in 512-byte units
        movb    $0xf0, %dl
        call    ata_read
        jc      2f
        cmpl    $0x30304443, DISKBUF+1      # "CD00"
        jne     2f
        movl    $DISKBUF+40, %esi
        movl    $32, %ecx
        jmp     3f
2:      xorl    %ebx, %ebx
        movb    $0xf0, %dl
        call    ata_read
        jc      9f
        cmpw    $0xaa55, DISKBUF+510
        jne     9f
        movl    $DISKBUF+43, %esi
        cmpw    $0x4146, DISKBUF+54         # "FA": FAT12/16
        je      4f
        cmpw    $0x4146, DISKBUF+82         # FAT32
        jne     9f
        movl    $DISKBUF+71, %esi
4:      movl    $11, %ecx
3:      movb    (%esi), %al
        cmpb    $' ', %al
        jbe     8f
        call    putc
        incl    %esi
        decl    %ecx
        jnz     3b
8:      ret
9:      movl    $s_none, %esi
        jmp     puts

# ATA PIO on 0x1f0. %dl: 0xe0 master or 0xf0 slave; %ebx: sector. CF: failure
ata_setup:
        pushl   %edx
        movb    %dl, %al
        movw    $0x1f6, %dx
        outb    %al, %dx
        movl    $100000, %ecx
        movw    $0x1f7, %dx
1:      inb     %dx, %al
        cmpb    $0xff, %al
        je      8f
        testb   %al, %al
        je      8f
        testb   $0x80, %al
        jz      2f
        decl    %ecx
        jnz     1b
8:      popl    %edx
        stc
        ret
2:      movw    $0x1f2, %dx
        movb    $1, %al
        outb    %al, %dx
        movl    %ebx, %eax
        incw    %dx
        outb    %al, %dx
        shrl    $8, %eax
        incw    %dx
        outb    %al, %dx
        shrl    $8, %eax
        incw    %dx
        outb    %al, %dx
        popl    %edx
        clc
        ret
ata_drq:                                    # wait for DRQ
        movl    $10000000, %ecx
        movw    $0x1f7, %dx
1:      inb     %dx, %al
        testb   $0x01, %al
        jnz     8f
        testb   %al, %al
        jz      8f
        testb   $0x80, %al
        jnz     2f
        testb   $0x08, %al
        jnz     3f
2:      decl    %ecx
        jnz     1b
8:      stc
        ret
3:      clc
        ret
ata_read:
        call    ata_setup
        jc      9f
        movw    $0x1f7, %dx
        movb    $0x20, %al
        outb    %al, %dx
        call    ata_drq
        jc      9f
        movl    $DISKBUF, %edi
        movl    $256, %ecx
        movw    $0x1f0, %dx
        rep insw
        clc
9:      ret
ata_write:
        call    ata_setup
        jc      9f
        movw    $0x1f7, %dx
        movb    $0x30, %al
        outb    %al, %dx
        call    ata_drq
        jc      9f
        movl    $DISKBUF, %esi
        movl    $256, %ecx
        movw    $0x1f0, %dx
        rep outsw
        movw    $0x1f7, %dx
        movb    $0xe7, %al                  # FLUSH CACHE
        outb    %al, %dx
        movl    $10000000, %ecx
1:      inb     %dx, %al
        testb   $0x80, %al
        jz      2f
        decl    %ecx
        jnz     1b
2:      testb   $0x21, %al
        clc
        jz      9f
        stc
9:      ret

uart_init:
        movw    $COM1+1, %dx
        movb    $0, %al
        outb    %al, %dx
        movw    $COM1+3, %dx
        movb    $0x80, %al
        outb    %al, %dx
        movw    $COM1, %dx
        movb    $1, %al
        outb    %al, %dx
        incw    %dx
        movb    $0, %al
        outb    %al, %dx
        movw    $COM1+3, %dx
        movb    $3, %al                     # 8N1
        outb    %al, %dx
        movw    $COM1+2, %dx
        movb    $0x07, %al                  # FIFO on, cleared
        outb    %al, %dx
        movw    $COM1+4, %dx
        movb    $0x0b, %al                  # DTR RTS OUT2
        outb    %al, %dx
        movw    $COM1+1, %dx
        movb    $1, %al                     # receive interrupt
        outb    %al, %dx
        ret

pci_read:                                   # %eax: address -> %eax
        movw    $0xcf8, %dx
        outl    %eax, %dx
        movw    $0xcfc, %dx
        inl     %dx, %eax
        ret
pm_init:                                    # where are the ACPI PM registers?
        movl    $0x80000b00, %eax           # 00:01.3 PIIX4 PM
        call    pci_read
        cmpl    $0x71138086, %eax
        movl    $0x80000b40, %eax
        je      1f
        movl    $0x8000f800, %eax           # 00:1f.0 ICH9 LPC
        call    pci_read
        cmpl    $0x29188086, %eax
        movl    $0x8000f840, %eax
        jne     9f
1:      call    pci_read
        andl    $0xff80, %eax
        movw    %ax, pmbase
        jz      9f
        movw    %ax, %dx
        movw    $0x0100, %ax                # clear a stale button press
        outw    %ax, %dx
        addw    $2, %dx
        movw    $0x0100, %ax                # PWRBTN_EN
        outw    %ax, %dx
9:      ret

pic_pit_init:
        movb    $0x11, %al
        outb    %al, $0x20
        outb    %al, $0xa0
        movb    $0x20, %al
        outb    %al, $0x21
        movb    $0x28, %al
        outb    %al, $0xa1
        movb    $4, %al
        outb    %al, $0x21
        movb    $2, %al
        outb    %al, $0xa1
        movb    $1, %al
        outb    %al, $0x21
        outb    %al, $0xa1
        movb    $0xee, %al                  # IRQ 0 and 4 only
        outb    %al, $0x21
        movb    $0xff, %al
        outb    %al, $0xa1
        movb    $0x34, %al
        outb    %al, $0x43
        movw    $PIT_DIV, %ax
        outb    %al, $0x40
        movb    %ah, %al
        outb    %al, $0x40
        ret

idt_init:
        movl    $IDT, %edi
        movl    $256, %ecx
1:      movl    $isr_bad, %eax
        call    gate
        decl    %ecx
        jnz     1b
        movl    $IDT+0x20*8, %edi
        movl    $isr_timer, %eax
        call    gate
        movl    $IDT+0x24*8, %edi
        movl    $isr_serial, %eax
        call    gate
        movl    $IDT+0x27*8, %edi
        movl    $isr_spurious, %eax
        call    gate
        lidt    idtr
        ret
gate:   movw    %ax, (%edi)
        movw    $0x08, 2(%edi)
        movw    $0x8e00, 4(%edi)
        shrl    $16, %eax
        movw    %ax, 6(%edi)
        addl    $8, %edi
        ret
isr_bad:
        movl    $s_exc, %esi
        call    say
        jmp     hang
isr_spurious:
        iret
isr_timer:
        pushl   %eax
        pushl   %edx
        incl    jiffies
        movw    pmbase, %dx
        testw   %dx, %dx
        jz      1f
        inw     %dx, %ax
        testb   $1, %ah                     # PWRBTN_STS
        jz      1f
        movw    $0x0100, %ax
        outw    %ax, %dx
        movb    $1, f_button
1:      movb    $0x20, %al
        outb    %al, $0x20
        popl    %edx
        popl    %eax
        iret
isr_serial:
        pushl   %eax
        pushl   %ebx
        pushl   %edx
1:      movw    $COM1+5, %dx
        inb     %dx, %al
        testb   $1, %al
        jz      2f
        movw    $COM1, %dx
        inb     %dx, %al
        movl    rx_head, %ebx
        movb    %al, rxbuf(%ebx)
        incl    %ebx
        andl    $255, %ebx
        cmpl    rx_tail, %ebx               # full: drop
        je      1b
        movl    %ebx, rx_head
        jmp     1b
2:      movw    $COM1+2, %dx
        inb     %dx, %al
        movb    $0x20, %al
        outb    %al, $0x20
        popl    %edx
        popl    %ebx
        popl    %eax
        iret

# move received bytes to linebuf; CF clear when a line is complete
take_line:
        movl    rx_tail, %ebx
        cmpl    rx_head, %ebx
        je      9f
        movb    rxbuf(%ebx), %al
        incl    %ebx
        andl    $255, %ebx
        movl    %ebx, rx_tail
        cmpb    $13, %al
        je      1f
        cmpb    $10, %al
        je      1f
        movl    linelen, %ecx
        cmpl    $60, %ecx
        jae     take_line
        movb    %al, linebuf(%ecx)
        incl    linelen
        jmp     take_line
1:      movl    linelen, %ecx
        testl   %ecx, %ecx
        jz      take_line                   # empty line
        movb    $0, linebuf(%ecx)
        movl    $0, linelen
        clc
        ret
9:      stc
        ret

# -------------------------------------------------------------------- data --
        .balign 4
idtr:   .word   256*8-1
        .long   IDT
idtr_none:
        .word   0
        .long   0
        .balign 4
jiffies:        .long 0
seen_jiffies:   .long 0
last_tick:      .long 0
ticks:          .long 0
tick_interval:  .long HZ
lineno:         .long 0
blast:          .long 0
dirty_pages:    .long 0
dirty_last:     .long 0
dirty_passes:   .long 0
rx_head:        .long 0
rx_tail:        .long 0
linelen:        .long 0
pmbase:         .word 0
f_button:       .byte 0
ignore_button:  .byte 0
spin:           .byte 0
s_banner:       .asciz "tickguest 1 uuid="
s_ram:          .asciz " ram="
s_cpus:         .asciz " cpus="
s_pm:           .asciz " pm="
s_cfg:          .asciz " cfg="
s_none:         .asciz "none"
s_ready:        .asciz "ready"
s_tick:         .asciz "tick "
s_rx:           .asciz "rx "
s_unknown:      .asciz "unknown command"
s_button:       .asciz "power button"
s_button_ign:   .asciz "power button ignored"
s_poweroff:     .asciz "power off"
s_reset:        .asciz "reset"
s_crash:        .asciz "crash"
s_exc:          .asciz "exception"
s_blastdone:    .asciz "blast done"
s_check:        .asciz "check pages="
s_bad:          .asciz " bad="
s_passes:       .asciz " passes="
s_status:       .asciz "status jiffies="
s_written:      .asciz "sector written"
s_same:         .asciz "sector same"
s_differs:      .asciz "sector differs"
s_nodisk:       .asciz "no disk"
        .balign 4
linebuf:        .fill 64, 1, 0
rxbuf:          .fill 256, 1, 0
end:
        .org    (1 + PAYLOAD_SECTORS) * 512
