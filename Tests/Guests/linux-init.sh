#!/bin/sh
# The first and only program of the Linux guest; README.md says what it prints and understands.
export PATH=/bin
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev 2>/dev/null
/bin/busybox --install -s /bin

print() { echo "guest: $*" >/dev/console; }
uptime() { cut -d' ' -f1 /proc/uptime; }
load() {
    for module in "$@"; do
        if [ -f /mod/$module.ko ]; then insmod /mod/$module.ko 2>/dev/null; fi
    done
}

tick=1 full=0 power=off
for word in $(cat /proc/cmdline); do
    case $word in tick=* | full=* | power=*) eval "$word" ;; esac
done

print up kernel=$(uname -r) uptime=$(uptime)
load button evdev
mkdir -p /etc/acpi
if [ "$power" = off ]; then
    cat >/etc/acpi/PWRF <<'SCRIPT'
#!/bin/sh
echo "guest: power button" >/dev/console
sync
poweroff -f
SCRIPT
    chmod 755 /etc/acpi/PWRF
    echo 'PWRF PWRF' >/etc/acpid.conf
    echo 'EV_KEY 0x01 KEY_POWER 116 1 PWRF' >/etc/acpi.map
    acpid -c /etc/acpi -a /etc/acpid.conf -M /etc/acpi.map -l /dev/null -p /tmp/acpid.pid
fi
print ready uptime=$(uptime)

if [ "$full" = 1 ]; then
    load $(cat /mod/order)
    for disk in /dev/vd[a-z] /dev/sd[a-z] /dev/sr0; do
        [ -b $disk ] && print disk $disk sectors=$(cat /sys/class/block/${disk#/dev/}/size)
    done
    for disk in /dev/sr0 /dev/vd[a-z] /dev/sd[a-z]; do
        [ -b $disk ] && mount -o ro $disk /cfg 2>/dev/null || continue
        print config $disk $(cd /cfg && find . -type f | sort | tr '\n' ' ')
        break
    done
    print devices done uptime=$(uptime)
fi

ticking() {
    count=0
    while [ "$tick" != 0 ]; do
        sleep $tick
        count=$((count + 1))
        print tick $count
    done
}
ticking &

blast() {
    number=0
    while [ $number -lt $1 ]; do
        number=$((number + 1))
        echo "blast $number abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"
    done >/dev/console
}

exec </dev/ttyS0
while read -r line; do
    print rx "$line"
    case $line in
    poweroff)
        print power off
        sync
        poweroff -f
        ;;
    reboot)
        print reset
        reboot -f
        ;;
    blast\ *)
        blast "${line#blast }"
        print blast done
        ;;
    sh\ *) eval "${line#sh }" >/dev/console 2>&1 ;;
    esac
done
while :; do sleep 3600; done
