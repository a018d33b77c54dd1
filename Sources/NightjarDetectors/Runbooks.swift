// Written from the runbooks (<Detector>/<Detector>.md): NIGHTJAR_REWRITE_GOLDENS=1 swift test
// String literals, because the same text as an embedded resource costs seconds of compile time.

enum Runbooks {
    static let heapGrowth = #"""
        # HeapGrowth

        ## Meaning

        The process holds more and more memory that it never gives back. Nightjar looks at the floor of its anonymous memory
        (with swap, without files and shared memory): the smallest reading of each stretch of time, over the last half and the
        last four fifths of its life. Peaks, garbage and busy days do not lift the floor; a leak lifts it in every stretch.

        - `growing` (notice): a day and a half of it. One in six of these is a cache that will be full soon.
        - `leak` (warning): three days without any sign of slowing, or four and a half days in any case; or half a day to a day
          where earlier lives of the same unit grew until they were killed.

        The verdict says what kind it is, as far as numbers tell: `leak`, `growth`, `cache filling` (it slows down),
        `fragmentation` (the probe says that the allocator's memory in use does not grow), `thread stacks` (threads pile up).

        It stays open until the floor is level for a day, or half of the rise was given back.

        ## Impact

        At the limit of its unit or of the host the kernel kills a process: this one, or a neighbour. Before that the page cache
        shrinks and everything that reads files gets slower; with swap, everything gets slower. The sentence says when, where a
        limit is known.

        ## Diagnosis

        How fast, since when, how far:

            nightjar show ID
            nightjar ps --sort growth

        What grows? In a Swift process, instrumented or not:

            nightjar heap PID --diff 60s
            nightjar why PID TYPE

        In others ask the runtime: `jcmd PID GC.class_histogram`, `py-spy dump` and tracemalloc, `node --inspect` heap snapshots,
        `jeprof` or `heaptrack` for C and C++. Compare the begin of the rise with your deploys.

        - The rise follows the load: something is kept for each request (listeners, sessions, metrics labelled by user).
        - It rises at night as well: a timer, a cache without end, a log buffer.
        - `thread stacks`: `ls /proc/PID/task | wc -l`; threads that are started and never joined.

        ## Mitigation

        - To gain time: restart the unit when it is quiet, `sudo systemctl restart UNIT`. Nightjar remembers the life that ended,
          and says `leak` sooner if the next one grows as well.
        - So that it takes nobody along: `MemoryMax=` for the unit, with `Restart=on-failure`.
        - It is a cache with a known size: say so, and growth below it is quiet.

              [Unit redis.service]
              HeapLimit=4G

        - It is no leak at all: `nightjar silence ID --up-to 4G --because "…"`.
        """#

    static let memoryExhaustion = #"""
        # MemoryExhaustion

        ## Meaning

        The memory under a limit fills so steadily that it will be full soon: the limit of a unit or container (`MemoryMax=`,
        `docker run --memory`, a pod's limit), or what the host has, swap included. A straight line through the lows of the last
        minutes or hours meets the limit no farther ahead than it has been watched, and its newer half is no slower than the
        whole: a start-up that levels off is not reported.

        - warning: full within six hours
        - critical: full within the hour

        Named is the process that rose most under this limit, or the largest where none stands out.

        ## Impact

        At its limit the kernel kills a process of the cgroup, usually the largest, with SIGKILL: no clean-up, work in flight is
        lost. When the host is full, any process may be the one that is killed, after minutes in which everything crawls.

        ## Diagnosis

        Who holds it, and what was it doing when the rise began?

            nightjar show ID
            nightjar ps
            systemctl status UNIT
            cat /sys/fs/cgroup/system.slice/UNIT/memory.{current,max,events}

        In a Swift process, what grows:

            nightjar heap PID --diff 10s

        A rise of minutes is seldom a slow leak: look for one large request, an unbounded queue in front of something slow, a
        retry storm, a batch job that reads everything at once, a limit that was made smaller.

        ## Mitigation

        - To gain time, raise the limit of the running unit: `sudo systemctl set-property --runtime UNIT MemoryMax=2G`.
        - Take load away (drain it from the load balancer) or restart it before it is killed: `sudo systemctl restart UNIT`.
        - Slow it down instead of killing it: `MemoryHigh=` below `MemoryMax=`.
        - A job that is meant to use what it is given: set the limit higher than its need, or

              [Unit nightly-import.service]
              MemoryExhaustion=off
        """#

    static let outOfMemoryKill = #"""
        # OutOfMemoryKill

        ## Meaning

        The kernel ended a process because memory was used up: the memory of its unit or container (`MemoryMax=`, a container's
        limit), or that of the host. The counter `oom_kill` rose; Nightjar names the process that vanished in that moment with
        the most memory, and the size it had at the last reading before.

        - `killed at its limit`: the unit met its own limit. The rest of the host was not in need.
        - `killed for the host`: the host had nothing left. The one that was killed is the largest, not always the culprit.
        - `killed, not seen`: the counter rose, but no process that Nightjar watches vanished: one that lived too briefly, or one
          in another container that shares this kernel.

        A kill is a moment, not a state: the alert stays open for an hour after the last one. Three within that hour are critical.

        ## Impact

        The process got SIGKILL: no clean-up, no last log line, work in flight is lost. systemd starts it again where
        `Restart=` says so, and it will be killed again as soon as it has grown as large: every few hours for a leak, every few
        seconds for a limit that is too small.

        ## Diagnosis

        What the kernel saw, with a table of all candidates:

            journalctl -k -g 'Out of memory|oom-kill|Killed process' -n 40
            systemctl status UNIT          # Result: oom-kill

        - Is there a HeapGrowth or MemoryExhaustion alert of the same unit (`nightjar alerts --all`)? Then it is a leak, and that
          alert names the type or the pace.
        - Was it a peak? `nightjar show ID` says how large the process was at the last reading before, and when.
        - For the host: who grew, not who died? Sort `nightjar ps` by anonymous memory.
        - Page cache is not the cause: the kernel drops it before it kills.

        ## Mitigation

        - A leak: fix it; until then restart the unit at a time of your choice.
        - A limit that is too small for honest work: raise it, `sudo systemctl set-property UNIT MemoryMax=2G`, and set
          `MemoryHigh=` a tenth below, so that the unit is slowed before it is killed.
        - The host: give every unit a `MemoryMax=`, so that the one that grows is the one that dies; protect what must live with
          `OOMScoreAdjust=-900`.
        - The service should survive it: `Restart=on-failure`, and state that is written before it is acknowledged.
        """#

    static let descriptorLeak = #"""
        # DescriptorLeak

        ## Meaning

        The process opens sockets, files or pipes and does not close them. The smallest number of open descriptors in each
        stretch of time has risen over most of what Nightjar saw of its life, evenly, and was never given back.

        - `growing`: 18 hours of even rise. It may still be a very long warm-up.
        - `leak`: a day of even rise, or a day and a half of rise in fits and starts.
        - `running out`: the limit (RLIMIT_NOFILE) will be reached within 12 hours at this pace, whatever the age.
          Within the hour, or with 95 % in use, it is critical.

        ## Impact

        At the limit, `accept`, `open`, `socket` and `pipe` fail with EMFILE ("Too many open files"). The service stops taking
        connections, cannot open its log, and often spins on `accept`, while the process still looks alive. Other processes are
        not affected: the limit is the process's own.

        ## Diagnosis

        See what kind of descriptor piles up. Most of the list is the answer:

            sudo ls -l /proc/PID/fd | awk 'NR > 1 { sub(/[0-9]+\]?$/, "", $NF); print $NF }' | sort | uniq -c | sort -rn | head

        - `socket:[`: connections that are not closed. `sudo ss -tnp | grep pid=PID` shows to whom; many in CLOSE-WAIT means
          that the other end hung up and this process did not notice: a response body that is never read, a client that is made
          for each request and never shut down.
        - one path again and again: a file that is opened for each request. Look for an early return between open and close.
        - `pipe:[` or `anon_inode:[eventpoll]`, `[eventfd]`, `[timerfd]`: child processes, event loops or timers that are made
          for each request.

        When did it begin? `nightjar show ID` gives the span; compare it with the last deploy. What is the limit?

            grep 'open files' /proc/PID/limits

        ## Mitigation

        - To gain time: raise the limit of the running process, `sudo prlimit --pid PID --nofile=65536`, and of the unit,
          `LimitNOFILE=65536`. This moves the hour, not the leak.
        - Restart the unit when it is quiet rather than at the limit: `sudo systemctl restart UNIT`.
        - Fix the path that does not close; in Swift, close in `defer`, or let a `with…` function own the handle.
        - No leak? A pool with a known size, or a server that is meant to hold many connections:
          `nightjar silence ID --for 30d`, or in the configuration

              [Unit proxy.service]
              DescriptorLeakMinimumRise=5000
        """#

    static let threadLeak = #"""
        # ThreadLeak

        ## Meaning

        The process starts threads that never end. The smallest number of threads in each stretch of time has risen over most of
        what Nightjar saw of its life, evenly, and never came back.

        - `growing`: 18 hours of even rise. It may still be a pool that fills very slowly.
        - `leak`: a day of even rise, or a day and a half of rise in fits and starts.
        - `running out`: the tasks allowed to its unit (TasksMax=, `pids.max`) will be used up within 12 hours at this pace.
          Within the hour, or with 95 % in use, it is critical.

        ## Impact

        Each thread holds a stack (8 MiB of address space; what it touched of that is resident) and whatever its frames hold.
        At the limit `pthread_create` and `fork` fail with EAGAIN ("Resource temporarily unavailable") for every process
        of the unit: no new connections, no child processes, and in many runtimes an abort. A container shares its limit with all
        that runs in it.

        ## Diagnosis

        Which threads are they? Their names usually say which pool or library made them:

            cat /proc/PID/task/*/comm | sort | uniq -c | sort -rn | head

        What do they wait for? The same stack many times is the answer:

            nightjar stacks PID

        - hundreds of one name, all in `futex`: a thread for each request that waits for an answer that never comes: a missing
          time limit on a call, a future that nobody completes.
        - an unnamed row: a client, timer or executor that is made for each request and never shut down.
        - a name with a number that climbs (`pool-37-thread-1`): a whole pool is made again and again.

        How much is left?

            systemctl show UNIT -p TasksCurrent -p TasksMax

        ## Mitigation

        - To gain time: `sudo systemctl set-property --runtime UNIT TasksMax=8192`.
        - Restart the unit when it is quiet rather than at the limit: `sudo systemctl restart UNIT`.
        - Make the client, pool or event loop group once and share it; shut down what was started; give every wait a limit.
        - No leak? A service that is meant to hold a thread for each connection: `nightjar silence ID --for 30d`, or in the configuration

              [Unit mariadb.service]
              ThreadLeak=off
        """#

    static let cpuSpin = #"""
        # CPUSpin

        ## Meaning

        The process uses one whole processor core (or several), evenly and without a rest, and it did not do that before. A thread
        that computes for a request rests between requests; a thread in a loop that cannot end never does.

        Nightjar compares the process with itself: it has watched it for at least an hour of ordinary work, and for half an hour
        (`AtLeast=`) every minute has cost a whole core more than that. Processes that have been as busy before, for as long,
        and then ended by themselves, stay quiet; so do those that are niced, and those that were busy from their first minute
        (builds, batch jobs, encoders).

        - `spinning`, notice: half an hour, warning: four hours (`WarnAfter=`). It is never critical: the service may well
          answer while one of its threads turns in circles.

        ## Impact

        One core less for everybody on the host. If the thread that spins is an event loop, everything on that loop has stopped
        (LoopStall says so where the probe is in the service). If it holds a lock, others will wait for it. Power and, in the
        cloud, money.

        ## Diagnosis

        Which thread is it, and in which function?

            top -H -p PID
            nightjar stacks PID

        Take the stacks three times: frames that are always there are the loop, the ones below it change.

        - a regular expression or a parser at the top: catastrophic input. The request that began it is older than the alert.
        - `accept` or `epoll_wait` that returns at once, again and again: a descriptor that is always ready and never served
          (often after EMFILE: see DescriptorLeak).
        - a retry without a pause; a condition that can no longer become true; a hash table or list with a cycle in it.
        - garbage collector or allocator frames: the heap is at its limit (see HeapGrowth, MemoryExhaustion).

        Is it work after all? Steady output (`/proc/PID/io`), a log that goes on, a queue that shrinks: then it is a long job.

        ## Mitigation

        - Keep the stacks before you restart: without them it will be back and nobody will know more.
        - `sudo systemctl restart UNIT` ends it. To give the others room first: `sudo renice 19 -p PID`.
        - Bound the loop: a limit of steps or time for parsing, a growing pause between retries.
        - No fault? Tell Nightjar once, for the unit that is meant to work hard:

              [Unit transcoder.service]
              CPUSpin=off
        """#

    static let diskFill = #"""
        # DiskFill

        ## Meaning

        A file system is full, or will be. The alert says which of four conditions holds:

        - `full`: nothing is free for ordinary users. It stays until there is space again, not until writing stops.
        - `filling fast`: at the pace of the last minutes nothing is left within the hour.
        - `filling`: the level that no rotation or nightly job gives back rises, or one run goes on and on; the disk will be full
          within a day. The time is a replay of the last days, so growth by day and rest at night are in it.
        - `nearly full`: less than 5 % is free. Where nothing has changed for a day it is only noted.
        - `not answering`: `statvfs` did not come back in time, as on a dead network mount. Nightjar waits in a side thread.

        ## Impact

        Writers get ENOSPC: databases stop or go read-only, services that log synchronously stall, uploads fail, and the message that
        would say so cannot be written. Root may still have the reserved blocks.

        ## Diagnosis

        Who writes, what grows, what is deleted but still open:

            nightjar disk

        By hand, the largest directories and the deleted files that are still held:

            sudo du -xh --max-depth=2 /MOUNT | sort -h | tail -20
            sudo find /proc/[0-9]*/fd -lname '*(deleted)' -printf '%p %l\n' 2>/dev/null

        A deleted file frees its space only when the last process that holds it closes it: restart or reload that process.

        ## Mitigation

        - A debug log left on: lower the level and rotate, or truncate the file in place: `sudo truncate -s 0 FILE` keeps the
          descriptor valid; `rm` frees nothing while the process holds the file.
        - The journal: `sudo journalctl --vacuum-size=500M`. Package caches: `sudo apt-get clean`.
        - Deleted but open: `sudo systemctl restart UNIT`.
        - Meant to be that full? In the configuration

              [Mount /srv/archive]
              DiskFillStaticFloor=1%
        """#

    static let inodeFill = #"""
        # InodeFill

        ## Meaning

        Every file takes one inode, and the number of inodes was fixed when the file system was made (ext4; xfs has a ceiling). They are
        used up, or will be within a day. The conditions are those of DiskFill: `full`, `filling fast`, `filling`, `nearly full`.

        ## Impact

        No file can be made: "No space left on device" while `df -h` shows space. Sessions, locks, temporary files and log rotation
        fail; what is already open goes on.

        ## Diagnosis

        How many, and in which directory:

            df -i /MOUNT
            sudo du -x --inodes --max-depth=3 /MOUNT | sort -n | tail -20

        Usual places: PHP or web sessions, mail queues, `/tmp`, thumbnails, container layers, `/var/lib/systemd/coredump`.

        ## Mitigation

        - Delete in pieces, without listing: `sudo find DIRECTORY -xdev -type f -mtime +7 -delete`.
        - Give the directory a janitor: a line in `/etc/tmpfiles.d`, or the application's own expiry.
        - The number cannot be raised on ext4; a new file system needs `mkfs.ext4 -N` or `-i`.
        """#

    static let logFlood = #"""
        # LogFlood

        ## Meaning

        A log (a file, or a unit's part of the journal) writes many times what it usually writes at this hour, and goes on doing so.
        Usual is the highest volume of this time of day in the last seven days, so nightly jobs and the day's rhythm are in it. How
        long it must go on depends on how far it stands out from all that the source did before: from a quarter of an hour to four
        hours. What fills a disk sooner than that is told by DiskFill, within a minute.

        - `flood`: the message that makes most of it stands below the sentence, with its share, its level and since when it is seen.
        - `debug log left on`: most of the volume is of level debug or trace.

        Nothing is said in a source's first two days. After three days the new volume counts as usual.

        ## Impact

        Disks fill (DiskFill says when), the log's useful lines drown, journald and log shippers burn CPU, and storage is paid for.
        A service that logs synchronously slows down with the disk.

        ## Diagnosis

        Who writes how much, and which message:

            nightjar logs

        Compare the template's first time with the last deploy or change of configuration. A few lines of it:

            sudo tail -n 20 FILE
            journalctl -u UNIT -n 20 -o cat

        ## Mitigation

        - Set the level back: the service's configuration, or `LogLevelMax=info` in its unit for what it sends to the journal.
        - An error that is logged in a loop: the message is the symptom; mend or stop what repeats it.
        - Free the space: `sudo truncate -s 0 FILE` for a file that is still open; `sudo journalctl --vacuum-size=500M`.
        - Expected, for this source? In the configuration

              [Log /var/log/import.log]
              LogFlood=off
        """#

    static let loopStall = #"""
        # LoopStall

        ## Meaning

        A loop of the service (an event loop, the main queue, an actor) did not come back to its queue in time, and not because
        the host had no processor for it. Nightjar looked at its thread several times meanwhile; the function in the alert is the
        innermost one of the service's own that all those stacks have in common.

        - `stall`: lags above 20 ms added up to 600 ms in a minute, and it goes on.
        - `hang`: a single stall of 2 s or more, over or still going on.

        The cause says how the function held the loop up: `computing`, `blocked in` a system call on a named descriptor,
        `waiting for a lock` whose holder stands below with its own stack, `deadlocked`, or `waiting for pages`.

        ## Impact

        Everything that this loop serves waits: every connection of that event loop, everything on the main actor. Half of all
        requests may be as quick as ever, because other loops serve them, while the slowest per cent takes as long as the stall.

        ## Diagnosis

        See all stacks now, while it lasts:

            nightjar stacks PID

        - `computing`: how large is the input? A JSON document, a regular expression that backtracks, a sort. Look at the function
          and at what it was given.
        - `blocked in read`, `recvfrom`, `connect`: a blocking call on a loop. The descriptor says to whom.
        - `waiting for a lock`: the holder's stack is the one to read. It may be doing I/O under the lock.
        - `deadlocked`: the threads wait for each other in a circle and will not go on by themselves.

        Lags over days, for each loop: `nightjar_loop_lag_seconds`.

        ## Mitigation

        - A deadlock or an endless loop only ends with a restart: `sudo systemctl restart UNIT`. The stacks stay in
          `nightjar show ID`.
        - Move the work off the loop: a `NIOThreadPool`, a detached task, a queue of its own; or cut it into pieces.
        - Known and wanted, such as a warm-up at start: wrap it in `probe.withKnownLongWork { … }`.
        - To change what counts, in the configuration:

              [Unit checkout.service]
              LoopStallBlockedPerMinute=2s
              LoopStallHang=5s
        """#

    static let loopStarved = #"""
        # LoopStarved

        ## Meaning

        A loop of the service was ready to run and did not get a processor, for a tenth of the last minute or more. This is not a
        stall of the service: its code did nothing wrong, it was not running.

        - `host`: more threads want to run than the host has processors.
        - `quota`: the service's control group used up its CPU quota and was held back until the next period.

        ## Impact

        The same as of a stall: whoever waits for this loop waits longer. Requests are slow in bursts, all loops of the host at
        once, and profiles of the service show nothing.

        ## Diagnosis

            cat /proc/pressure/cpu
            systemd-cgtop --order=cpu
            nightjar top

        With a quota, see how often it bites:

            systemctl show UNIT -p CPUQuotaPerSecUSec
            cat /sys/fs/cgroup/system.slice/UNIT/cpu.stat

        `nr_throttled` that grows with every period means that the quota is too small for the bursts, even where the average
        looks fine.

        ## Mitigation

        - Find who uses the processors (`nightjar top`), and move it, slow it down, or give it a lower weight:
          `sudo systemctl set-property NOISY.service CPUWeight=20`.
        - Raise or lift the quota: `sudo systemctl set-property UNIT CPUQuota=400%`.
        - Fewer loops than processors: a service that starts one loop a processor inside a quota of two has too many.
        """#

    static let poolStarvation = #"""
        # PoolStarvation

        ## Meaning

        Swift concurrency runs the tasks of a process on as many threads as it has processors, and never on more. All of them are
        taken: each sits in a blocking call or in work that does not end. A task of high priority could not begin for a second or
        longer. The stacks in the alert are those of the threads that are taken.

        ## Impact

        No task of the process goes on: no request handler, no time-out, no health check that is written with `async`. Event loops
        may still accept connections, so the port looks alive. Where the blocked threads wait for something that another task
        would do, it never ends by itself.

        ## Diagnosis

            nightjar stacks PID

        Each thread named `…default-qos` or `…initiated-qos` shows who took it. Common ones:

        - `DispatchSemaphore.wait`, `DispatchGroup.wait`, `queue.sync`: waiting for asynchronous work inside a task.
        - `Thread.sleep`, `usleep` instead of `Task.sleep`.
        - blocking drivers and files: `read`, `recvfrom`, `fsync`.
        - `EventLoopFuture.wait()`.

        ## Mitigation

        - A restart frees the threads: `sudo systemctl restart UNIT`. It comes back with the same load.
        - Move blocking calls out of tasks: a `NIOThreadPool`, a dispatch queue with `withCheckedContinuation`, a task executor of
          its own.
        - Wait with `await`, never with a semaphore.
        """#
}
