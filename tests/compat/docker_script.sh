#!/bin/sh
# One session with the docker command line client, step by step.
#
#   DOCKER_HOST=unix://… docker_script.sh RESULTS REGISTRY
#
# For each step RESULTS gets <step>.out, <step>.err and <step>.exit. The script itself judges nothing:
# run it against two engines and compare the folders. REGISTRY (host:port, plain HTTP) must hold
# library/hello-world and library/busybox and be the engine's mirror of Docker Hub.
#
# Nearly every container has --network none, which costs no engine anything.
set -u
results=$1
registry=$2
input="$results/input"
seq 1 2000 >"$input"

# step NAME COMMAND…: run it without input and keep what it said.
step() {
    step_name=$1
    shift
    timeout 60 "$@" >"$results/$step_name.out" 2>"$results/$step_name.err" </dev/null
    echo $? >"$results/$step_name.exit"
}

# shell NAME SCRIPT: the same for a line of shell.
shell() {
    step "$1" sh -c "$2"
}

# quiet COMMAND…: prepare or clean up between steps.
quiet() {
    timeout 60 "$@" >/dev/null 2>&1 </dev/null
}

export input registry results
run="docker run --network none"
once="$run --rm"

# --- the first and the second run; the images that they leave
step hello_cold $run hello-world
step hello_cached $run hello-world
shell hello_containers 'docker ps -aq | wc -l'
shell hello_removed 'docker rm $(docker ps -aq) | wc -l'
step pull_busybox docker pull busybox
step pull_again docker pull busybox
step pull_quiet docker pull -q busybox
step pull_address docker pull "$registry/library/busybox:latest"
step pull_digest docker pull "$registry/library/busybox@$(docker image inspect -f '{{index .RepoDigests 0}}' "$registry/library/busybox" | sed 's/.*@//')"
step pull_no_tag docker pull "$registry/library/busybox:none"
step pull_no_repository docker pull "$registry/library/none"
step pull_bad_name docker pull 'Busybox'
step pull_wrong_platform docker pull --platform linux/s390x "$registry/library/hello-world"
# Sorted, because older clients show an image's names in any order.
shell images 'docker images --digests --no-trunc | sort'
step images_filter docker images --filter reference=busybox --format '{{.Repository}}:{{.Tag}} {{.ID}}'
step images_quiet docker images -q --no-trunc busybox
step image_inspect docker image inspect -f '{{.Id}} {{.Os}}/{{.Architecture}} {{json .Config.Cmd}} {{json .Config.Env}} {{json .RepoTags}} {{json .RepoDigests}} {{len .RootFS.Layers}} {{.Created}}' busybox
step image_size docker image inspect -f '{{.Size}}' busybox
step image_inspect_missing docker image inspect nothing
step history docker history --no-trunc busybox
step history_hello docker history --no-trunc --format '{{.ID}} {{.CreatedBy}} {{.Size}}' hello-world
step tag docker tag busybox shell:mine
step tag_listed docker images --format '{{.Repository}}:{{.Tag}}' shell
step tag_missing docker tag nothing shell:other
step tag_bad docker tag busybox 'shell:a b'
step rmi_tag docker rmi shell:mine
step rmi_missing docker rmi nothing

# --- input, output, exit status
shell input_output "$once -i busybox sh -c 'cat; exit 7' <\"\$input\""
# shellcheck disable=SC2016
shell twenty_at_once '
    for number in $(seq 20); do
        {
            docker run --network none -i --rm busybox sh -c "cat; exit 7" <"$input" >"$results/at-once-$number"
            echo "exit $?"
            cmp "$results/at-once-$number" "$input" && echo same
        } &
    done | sort | uniq -c
    wait
    rm -f "$results"/at-once-*'
shell large_output "$once busybox sh -c 'yes 0123456789 | head -c 5000000' | sha256sum"
shell large_input "head -c 5000000 /dev/zero | $once -i busybox sha256sum"
step two_streams $once busybox sh -c 'echo to-out; echo to-err >&2'
step no_input_is_eof $once busybox sh -c 'cat; echo end'
step terminal $once -t busybox sh -c 'tty; test -t 1 && echo yes'
step exit_0 $once busybox true
step exit_1 $once busybox false
step exit_255 $once busybox sh -c 'exit 255'
step exit_signal $once busybox sh -c 'sh -c "kill -9 \$\$"; echo $?'
step exit_125_image $once "$registry/library/busybox:none" true
step exit_125_flag $once --no-such-flag busybox true
step exit_125_memory $once --memory 1k busybox true
step exit_125_network docker run --rm --network nowhere busybox true
step exit_126_folder $once busybox /etc
step exit_126_file $once busybox /etc/passwd
step exit_127_path $once busybox /no/such/program
step exit_127_name $once busybox no-such-program
step exit_127_leaves_created $run --name never busybox no-such-program
step never_inspect docker inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.State.Pid}}' never
quiet docker rm -f never
# shellcheck disable=SC2016
step oom $run --name oom --memory 16m --memory-swap 16m busybox sh -c 'x=a; while :; do x=$x$x; done'
step oom_inspect docker inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}} {{.HostConfig.Memory}} {{.HostConfig.MemorySwap}}' oom
quiet docker rm -f oom
shell signal_is_passed_on "timeout -s TERM 3 $once --name proxied busybox sh -c 'trap \"echo caught; exit 9\" TERM; while :; do sleep 0.1; done'"

# --- what a container sees
# shellcheck disable=SC2016
step flags $once -e A=b -e B=c -w /tmp -u nobody -h box busybox sh -c 'echo $A $B; pwd; id; hostname'
# shellcheck disable=SC2016
step user_ids $once -u 1234:5678 busybox sh -c 'id -u; id -g; echo $HOME'
step groups $once busybox id
step user_unknown $once -u nosuch busybox true
step workdir_made $once -w /made/here busybox pwd
step entrypoint $once --entrypoint echo busybox from entrypoint
step environment $once -h box busybox env
step hostname_is_the_id $once --name host busybox sh -c 'hostname | wc -c'
step mounts $once busybox sh -c "grep -v cgroup /proc/mounts | awk '{ print \$2, \$3 }' | sort"
step mount_options $once busybox sh -c "awk '\$2 ~ \"^/(proc|dev|sys)\" { split(\$4, o, \",\"); print \$2, o[1] }' /proc/mounts | sort"
step devices $once busybox sh -c 'ls -l /dev | sed "s/root  *root//; s/  *[A-Z][a-z][a-z]  *[0-9]* [0-9:]*//"'
step device_use $once busybox sh -c 'mknod /tmp/disk b 8 0 && head -c 1 /tmp/disk'
step processes $once busybox sh -c 'ps -o pid,comm'
step interfaces $once busybox sh -c "awk -F: '/:/ { print \$1 }' /proc/net/dev"
step capabilities $once busybox grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status
step capabilities_user $once -u nobody busybox grep '^Cap' /proc/self/status
step masked $once busybox sh -c 'wc -c /proc/kcore /proc/keys /proc/timer_list; ls /proc/acpi /proc/scsi /sys/firmware'
step read_only_proc $once busybox sh -c 'echo 1 >/proc/sys/kernel/panic; echo h >/proc/sysrq-trigger'
step files_in_etc $once busybox sh -c 'ls /etc; cat /etc/hosts | head -1'
step files_in_root $once busybox sh -c 'ls -a / | tr "\n" " "'
step root_mode $once busybox stat -c '%a %u %g' / /tmp /root /dev /dev/shm
step umask $once busybox sh -c 'umask'
step unshare_is_refused $once busybox unshare -U true
step mount_is_refused $once busybox mount -t tmpfs none /tmp
step time_is_refused $once busybox date -s 2020-01-01
step limit_pids $once --pids-limit 8 busybox sh -c 'for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; wait'
step limit_cpus $once --cpus 0.5 --cpu-shares 512 busybox true
step shm_size $once --shm-size 1m busybox sh -c 'df -k /dev/shm | tail -1 | awk "{ print \$2 }"'
step read_only $once --read-only busybox touch /file
step cap_drop $once --cap-drop ALL busybox grep CapEff /proc/self/status
step cap_add $once --cap-add SYS_TIME busybox grep CapEff /proc/self/status
step init_process $once --init busybox sh -c 'ps -o pid,comm'
step volume $once -v "$results:/results" busybox test -s /results/input
step tmpfs $once --tmpfs /scratch busybox sh -c 'grep -c /scratch /proc/mounts'
step publish docker run --rm -p 127.0.0.1:0:80 busybox true
step privileged $once --privileged busybox true
step host_network docker run --rm --network host busybox sh -c 'grep -c lo: /proc/net/dev'

# --- the life of a container
step create docker create --network none --name life -i busybox sh -c 'echo begun; read line; echo "$line"; exit 3'
step created_state docker ps -a --no-trunc --format '{{.Names}} {{.Image}} {{.Command}} {{.State}} {{.Status}}'
step created_logs docker logs life
step created_stop docker stop life
step created_kill docker kill life
step start docker start life
step start_again docker start life
step running docker ps --format '{{.Names}} {{.Image}} {{.State}}'
step running_table docker ps
step rm_running docker rm life
step attach sh -c 'echo a line | docker attach life'
step wait docker wait life
step logs docker logs life
step logs_tail docker logs --tail 1 life
step logs_times docker logs -t life
step exited_state docker inspect -f '{{.State.Status}} {{.State.Running}} {{.State.ExitCode}} {{.State.Pid}} {{json .State.Error}}' life
step exited_table docker ps -a
step exited_filter docker ps -a --filter status=exited --filter exited=3 --format '{{.Names}}'
step attach_exited docker attach life
step kill_exited docker kill life
step stop_exited docker stop life
step start_attached sh -c 'echo again | docker start -a -i life'
step logs_of_both_runs docker logs life
step rename docker rename life afterlife
step rename_missing docker rename life other
quiet docker create --network none --name taken busybox true
step rename_taken docker rename afterlife taken
step name_taken docker create --network none --name taken busybox true
step name_bad docker create --network none --name 'a b' busybox true
step rm_two docker rm afterlife taken
step rm_missing docker rm afterlife
step inspect_missing docker inspect afterlife
step logs_missing docker logs afterlife

step detached_id sh -c "$run -d --name sleeper --label a=b --label c busybox sleep 1000 | wc -c"
step inspect_config docker inspect -f '{{json .Config.Cmd}} {{json .Config.Entrypoint}} {{json .Config.Labels}} {{.Config.Image}} {{.Config.Tty}} {{.Config.OpenStdin}} {{.Config.AttachStdout}} {{.Path}} {{json .Args}} {{.Name}} {{.Driver}} {{.RestartCount}}' sleeper
step inspect_host docker inspect -f '{{.HostConfig.NetworkMode}} {{.HostConfig.Memory}} {{.HostConfig.AutoRemove}} {{.HostConfig.Privileged}} {{.HostConfig.LogConfig.Type}} {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.ShmSize}} {{json .HostConfig.MaskedPaths}}' sleeper
step inspect_state docker inspect -f '{{.State.Status}} {{.State.Running}} {{.State.Paused}} {{.State.Restarting}} {{.State.Dead}} {{.State.OOMKilled}} {{.State.ExitCode}}' sleeper
step inspect_image_id docker inspect -f '{{.Image}}' sleeper
step inspect_networks docker inspect -f '{{range $name, $network := .NetworkSettings.Networks}}{{$name}} {{end}}' sleeper
step inspect_size docker inspect -s -f '{{.SizeRw}}' sleeper
step inspect_by_prefix sh -c 'docker inspect -f "{{.Name}}" $(docker inspect -f "{{slice .Id 0 6}}" sleeper)'
step filter_label docker ps --filter label=a=b --format '{{.Names}}'
step filter_name docker ps --filter name=sleep --format '{{.Names}} {{.Label "a"}}'
step filter_bad docker ps --filter nothing=1
step exec docker exec sleeper echo inside
step exec_exit docker exec sleeper sh -c 'exit 5'
step exec_input sh -c 'docker exec -i sleeper wc -l <"$input"'
step exec_user docker exec -u nobody -w /tmp -e A=b sleeper sh -c 'id -u; pwd; echo $A'
step exec_not_found docker exec sleeper no-such-program
step exec_missing docker exec nothing true
step top sh -c "docker top sleeper -o pid,comm | awk '{ print \$2 }'"
step stats docker stats --no-stream --format '{{.Name}}' sleeper
step diff docker diff sleeper
step pause docker pause sleeper
step unpause docker unpause sleeper
step rmi_in_use docker rmi busybox "$registry/library/busybox:latest"
quiet docker tag "$registry/library/busybox:latest" busybox:latest
step kill_signal docker kill -s USR1 sleeper
step kill_bad_signal docker kill -s NOTHING sleeper
step restart docker restart -t 0 sleeper
step kill docker kill sleeper
step wait_killed docker wait sleeper
step killed_state docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' sleeper
step exec_exited docker exec sleeper true
quiet docker start sleeper
step stop_timeout docker stop -t 1 sleeper
step stopped_state docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' sleeper
quiet docker start sleeper
step rm_force docker rm -f sleeper
step rm_force_missing docker rm -f sleeper
quiet $run -d --name polite busybox sh -c 'trap "exit 4" TERM; echo ready; while :; do sleep 0.1; done'
quiet sh -c 'until docker logs polite | grep -q ready; do sleep 0.1; done'
step stop_polite docker stop polite
step polite_state docker inspect -f '{{.State.ExitCode}}' polite
quiet docker rm polite
step auto_removed sh -c "$run -d --rm --name brief busybox true >/dev/null; docker wait brief >/dev/null 2>&1; sleep 1; docker ps -aq --filter name=brief | wc -l"
step logs_follow sh -c "$run -d --name slow busybox sh -c 'echo one; sleep 1; echo two' >/dev/null; docker logs -f slow"
step events docker events --since 0 --until "$(date +%s.%N)" --filter container=slow --format '{{.Type}} {{.Action}}'

# --- restart policies and health checks
quiet $run -d --name flaky --restart on-failure:2 busybox sh -c 'exit 3'
quiet sh -c 'until docker inspect -f "{{.State.Status}}" flaky | grep -q exited; do sleep 0.1; done'
step restart_gives_up docker inspect -f '{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}} {{json .HostConfig.RestartPolicy}}' flaky
step restart_events docker events --since 0 --until "$(date +%s.%N)" --filter container=flaky --format '{{.Action}}'
quiet $run -d --name stubborn --restart always busybox false
quiet sh -c 'until [ "$(docker inspect -f "{{.RestartCount}}" stubborn)" -ge 6 ]; do sleep 0.1; done; sleep 0.5'
step restarting docker inspect -f '{{.State.Status}} {{.State.Running}} {{.State.Restarting}} {{.State.Pid}} {{.State.ExitCode}}' stubborn
step restarting_ps docker ps --filter status=restarting --format '{{.Names}} {{.Status}}'
step restarting_exec docker exec stubborn true
step restarting_start docker start stubborn
step restarting_rm docker rm stubborn
step restarting_stop docker stop stubborn
step restarting_stopped docker inspect -f '{{.State.Status}} {{.State.Running}} {{.State.ExitCode}}' stubborn
step restart_with_rm $once --restart always busybox true
step restart_unknown $run --restart never busybox true
quiet docker rm -f stubborn flaky
quiet $run -d --name patient --health-cmd 'echo fine; ! test -e /sick' --health-interval 200ms --health-retries 2 busybox sleep 1000
step health_config docker inspect -f '{{json .Config.Healthcheck}}' patient
quiet sh -c 'until docker inspect -f "{{.State.Health.Status}}" patient | grep -q ^healthy; do sleep 0.1; done'
step healthy docker inspect -f '{{.State.Health.Status}} {{.State.Health.FailingStreak}} {{json (index .State.Health.Log 0).Output}} {{(index .State.Health.Log 0).ExitCode}}' patient
step health_filter docker ps --filter health=healthy --format '{{.Names}} {{.State}}'
quiet docker exec patient touch /sick
quiet sh -c 'until docker inspect -f "{{.State.Health.Status}}" patient | grep -q ^unhealthy; do sleep 0.1; done'
quiet sh -c 'until docker inspect -f "{{len .State.Health.Log}}" patient | grep -qx 5; do sleep 0.1; done'
step unhealthy docker inspect -f '{{.State.Health.Status}} {{json (index .State.Health.Log 4).Output}} {{(index .State.Health.Log 4).ExitCode}}' patient
step health_events docker events --since 0 --until "$(date +%s.%N)" --filter container=patient --filter event=health_status --format '{{.Action}}'
step exec_privileged docker exec --privileged patient grep CapEff /proc/self/status
step exec_bad_keys docker exec -it --detach-keys ctrl-1 patient true
quiet docker stop -t 0 patient
step health_stopped docker inspect -f '{{.State.Health.Status}}' patient
quiet docker rm patient
quiet $run --no-healthcheck --name patient busybox true
step health_off sh -c 'docker rm patient >/dev/null; echo $?'
step prune_until docker container prune -f --filter until=10m
step commit docker commit slow changed
quiet docker rmi changed
step copy sh -c "docker cp slow:/etc/passwd - | tar tv | sed 's/ [0-9-]* [0-9:]* / /; s/root.root/0\/0/'"
step export sh -c 'docker export slow | tar t | grep -c passwd'
step prune docker container prune -f

# --- files: volumes, mounts, copies
step volume_create docker volume create --label a=b mine
step volume_create_again docker volume create mine
step volume_create_bad docker volume create 'a b'
step volume_create_short docker volume create a
step volume_inspect docker volume inspect -f '{{.Name}} {{.Driver}} {{json .Labels}} {{json .Options}} {{.Scope}}' mine
step volume_inspect_missing docker volume inspect nothing
step volume_write $once -v mine:/x -v other:/y:rw busybox sh -c 'echo kept >/x/file; touch /y/file'
step volume_read $once -v mine:/x:ro busybox sh -c 'cat /x/file; touch /x/no'
step volume_copied_up sh -c "$once -v bin:/bin busybox true; $once -v bin:/b busybox ls /b | wc -l"
step volume_nocopy $once -v empty:/bin2 -v nocopy:/etc:nocopy busybox ls -A /etc
step volume_filter docker volume ls -q --filter label=a=b
step volumes docker volume ls
mkdir -p "$results/host/sub"
echo hello >"$results/host/file"
step bind_read_only $once -v "$results/host:/h:ro" busybox sh -c 'cat /h/file; touch /h/no'
step bind_nested $once -v "$results/host:/h" -v mine:/h/sub busybox sh -c 'ls /h /h/sub'
step bind_missing_mount $once --mount "type=bind,source=/nowhere/at/all,target=/x" busybox true
step bind_duplicate $once -v mine:/x -v other:/x busybox true
step bind_on_root $once -v "/host:/" busybox true
step bind_bad_mode $once -v "$results/host:/x:zz" busybox true
step mount_kinds $once --mount type=volume,source=mine,target=/v,readonly --mount type=tmpfs,target=/t,tmpfs-size=1m busybox sh -c "awk '\$2 ~ \"^/[vt]\$\" { split(\$4, o, \",\"); print \$2, o[1] }' /proc/mounts"
step mount_unknown $once --mount type=nothing,target=/x busybox true
step add_host $once --add-host near:1.2.3.4 busybox grep near /etc/hosts
step dns $once --dns 9.9.9.9 --dns-search x.y --dns-option ndots:2 busybox cat /etc/resolv.conf
quiet $run --name files -v mine:/data -v "$results/host:/h:ro" busybox sh -c 'mkdir -p /d/e; echo one >/d/f; ln -s /d /way; ln -s /nowhere /lost; rm /bin/ls; chmod 711 /root'
# In dockerd their order is another one each time.
shell mounts_shown "docker inspect -f '{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}} {{.Driver}} {{.Mode}} {{.RW}} {{.Propagation}}{{println}}{{end}}' files | sort"
step volumes_from $once --volumes-from files:ro busybox sh -c 'cat /data/file; touch /data/no'
step volumes_from_missing docker create --network none --volumes-from nothing busybox true
step changes sh -c 'docker diff files | sort'
step copy_out sh -c 'docker cp files:/d - | tar t | sort'
step copy_out_contents sh -c 'docker cp files:/d/. - | tar t | sort'
step copy_out_link sh -c 'docker cp files:/way - | tar t'
step copy_out_through sh -c 'docker cp files:/way/ - | tar t | sort'
step copy_out_missing docker cp files:/nothing -
step copy_out_lost docker cp -L files:/lost -
step copy_in docker cp "$results/host" files:/d/e
step copy_in_there sh -c 'docker cp files:/d/e - | tar t | sort'
step copy_in_volume docker cp "$results/host/file" files:/data/copied
step copy_in_read_only docker cp "$results/host/file" files:/h/no
# The client logs what it had begun to pack, or not, as its luck is.
shell copy_in_no_folder 'docker cp "$results/host/file" files:/none/ 2>&1 | grep -v level='
shell copy_in_over_file 'docker cp "$results/host" files:/d/f 2>&1 | grep -v level='
step volume_in_use docker volume rm mine
step rm_files docker rm -v files
step volume_rm docker volume rm mine other bin empty nocopy
step volume_rm_missing docker volume rm mine
step volume_prune sh -c 'docker volume prune -f | tail -1'
step networks docker network ls --format '{{.Name}} {{.Driver}}'

# Networks. Both engines choose subnets of their own: no address is asked for, and none is shown.
shell network_create 'docker network create --label of=me mine | wc -c'
step network_taken docker network create mine
step network_driver docker network create --driver nothing other
step network_inspect docker network inspect -f '{{.Name}} {{.Driver}} {{.Scope}} {{.Internal}} {{.Labels}} {{len .IPAM.Config}}' mine
step network_filter docker network ls --filter label=of=me --filter type=custom --format '{{.Name}}'
step network_filter_bad docker network ls --filter colour=red
step network_run docker run --rm --network mine busybox sh -c 'ip -4 -o addr show eth0 | wc -l; grep -v search /etc/resolv.conf; tail -1 /etc/hosts | wc -w'
step network_default docker run --rm busybox sh -c 'ip -4 -o addr show eth0 | wc -l; ip route | wc -l; tail -1 /etc/hosts | wc -w'
step network_internal sh -c 'docker network create --internal inside >/dev/null; docker run --rm --network inside busybox ip route | grep -c default'
quiet docker run -d --name onit --network mine --network-alias web busybox sleep 300
step network_names docker run --rm --network mine busybox sh -c 'for n in onit web; do nslookup -type=a $n | grep Name; done'
step network_members docker network inspect -f '{{range .Containers}}{{.Name}} {{end}}' mine
step network_ps docker ps --filter network=mine --format '{{.Names}} {{.Networks}}'
step network_rm_used docker network rm mine
step network_connect_again docker network connect mine onit
step network_connect sh -c 'docker network connect bridge onit && docker exec onit ip -4 -o addr | wc -l'
step network_disconnect sh -c 'docker network disconnect mine onit && docker exec onit ip -4 -o addr | wc -l'
step network_disconnect_again docker network disconnect mine onit
step network_alias_on_default docker run --rm --network-alias web busybox true
step network_ip_on_default docker run --rm --ip 172.17.0.99 busybox true
step network_rm docker network rm mine inside
step network_rm_missing docker network rm mine
step network_rm_predefined docker network rm bridge
step network_prune docker network prune -f
quiet docker rm -f onit
quiet docker run -d --name open -p 127.0.0.1:0:80 -p 127.0.0.1:0:81/udp busybox sleep 300
shell publish_port 'docker port open | sed "s/:[0-9]*$//" | sort'
step publish_taken docker run --rm -p 127.0.0.1:22222-22221:80 busybox true
quiet docker rm -f open

# --- images from containers and archives, and to registries
quiet $run --name made busybox sh -c 'echo made >/made; rm /bin/ls; mkdir -p /d/e'
step commit_change docker commit -a me -m words -c 'CMD ["cat", "/made"]' -c 'ENV A=b C="d e" P=$A' -c 'EXPOSE 80 81/udp' -c 'LABEL k=v' -c 'USER 1' -c 'VOLUME /v' -c 'WORKDIR /w' made lab/made:1
step commit_config docker image inspect -f '{{json .Config.Cmd}} {{json .Config.Env}} {{json .Config.ExposedPorts}} {{json .Config.Labels}} {{.Config.User}} {{json .Config.Volumes}} {{.Config.WorkingDir}} {{.Author}} {{.Comment}} {{len .RootFS.Layers}}' lab/made:1
step commit_run $once lab/made:1
step commit_history docker history --no-trunc --format '{{.CreatedBy}}|{{.Comment}}' lab/made:1
step commit_bad docker commit -c 'RUN ls' made
step commit_missing docker commit nothing lab/none
quiet docker save -o "$results/made.tar" lab/made:1
quiet docker rmi lab/made:1
step load docker load -i "$results/made.tar"
step load_run $once lab/made:1
shell load_nothing 'echo nothing | docker load'
step save_missing docker save nothing
shell import 'docker export made | docker import -m words -c "CMD [\"cat\", \"/made\"]" - lab/flat'
step import_run $once lab/flat
step import_history docker history --no-trunc --format '{{.CreatedBy}}|{{.Comment}}' lab/flat
quiet docker tag lab/made:1 "$registry/lab/pushed:1"
step push docker push -q "$registry/lab/pushed:1"
step push_missing docker push "$registry/lab/nothing"
quiet docker rm made
quiet docker rmi -f lab/made:1 lab/flat "$registry/lab/pushed:1"

step rmi docker rmi "$registry/library/busybox:latest"
step rmi_last docker rmi -f busybox "$(docker images -q --no-trunc busybox)"
step save sh -c 'docker save hello-world | tar t | grep -c manifest.json'
step version docker version --format '{{.Server.Os}}/{{.Server.Arch}} {{.Client.APIVersion}}'
step info docker info --format '{{.OSType}} {{.Architecture}} {{.NCPU}} {{.Containers}} {{.Images}} {{.CgroupDriver}} {{.CgroupVersion}}'
step version_too_new env DOCKER_API_VERSION=1.99 docker version --format '{{.Server.Os}}'
step version_old env DOCKER_API_VERSION=1.24 docker ps -aq
step left_over docker ps -a
