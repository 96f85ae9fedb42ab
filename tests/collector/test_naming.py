# SPDX-License-Identifier: Apache-2.0
"""VM names, from the command lines and cgroups of many VMMs."""

import shlex
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.vms.identity.naming import Naming, name_vm
from collector.vms.identity.secrets import command_text

SANDBOX = "0d3a4f6c8e1b2a5978c6d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3"
UUID = "c7a5fdbd-edaf-9455-926a-d65c16db1809"
POD = "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod5f0c.slice/cri-containerd-1a.scope\n"


def name(command: str, cgroup: str = "0::/\n", comm: str = "thread") -> Naming:
    return name_vm(shlex.split(command), cgroup, comm)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        pytest.param("qemu-system-x86_64 -name web", "web", id="bare"),
        pytest.param("qemu-system-x86_64 --name web -m 1G", "web", id="two dashes"),
        pytest.param("/usr/bin/kvm -id 100 -name db,debug-threads=on", "db", id="proxmox"),
        pytest.param("qemu-system-aarch64 -name guest=web,debug-threads=on", "web", id="guest key"),
        pytest.param("qemu-system-x86_64 -name debug-threads=on,guest=web", "web", id="guest key last"),
        pytest.param("qemu-kvm -name guest=a,,b,debug-threads=on", "a,b", id="doubled comma"),
        pytest.param("qemu-kvm -name a,,b", "a,b", id="doubled comma without key"),
        pytest.param("qemu-kvm -name guest=a,,,process=p", "a,", id="doubled comma at the end"),
        pytest.param("qemu-kvm -name guest=a=b", "a=b", id="equals sign in the name"),
        pytest.param("qemu-kvm -name one -name two", "two", id="last one counts"),
        pytest.param("qemu-kvm -name one -name process=p", "one", id="options are merged"),
        pytest.param("/usr/libexec/qemu-kvm -name 'my vm (1)'", "my vm (1)", id="spaces"),
        pytest.param("/nix/store/x/bin/.qemu-system-x86_64-wrapped -name web", "web", id="wrapped"),
        pytest.param("/opt/kata/bin/qemu-system-x86_64-snp-experimental -name web", "web", id="other build"),
        pytest.param("qemu-system-x86_64 -name größe", "größe", id="not ASCII"),
        pytest.param(
            "qemu-system-x86_64 -append '-name fooled' -name web", "web", id="in another option's value"
        ),
        pytest.param("qemu-system-x86_64 -name web -append", "web", id="value of another option missing"),
        pytest.param("qemu-system-x86_64 -m 512", "thread", id="none"),
        pytest.param("qemu-system-x86_64 -name", "thread", id="value missing"),
        pytest.param("qemu-system-x86_64 -name debug-threads=on", "thread", id="no guest in it"),
    ],
)
def test_qemu_gives_its_name(command: str, expected: str) -> None:
    found = name(command)
    assert (found.name, found.vmm, found.manager) == (expected, "qemu", "")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        pytest.param(f"qemu-system-x86_64 -uuid {UUID}", UUID, id="uuid"),
        pytest.param(f"qemu-system-x86_64 -uuid {UUID.upper()}", UUID, id="upper case"),
        pytest.param(f"qemu-system-x86_64 -uuid {UUID.replace('-', '')}", UUID, id="no dashes"),
        pytest.param(f"qemu-system-x86_64 -smbios type=1,uuid={UUID}", UUID, id="smbios"),
        pytest.param(
            f"qemu-system-x86_64 -smbios type=1,manufacturer=A,,B,uuid={UUID}", UUID, id="smbios comma"
        ),
        pytest.param(f"qemu-system-x86_64 -smbios type=0,uuid={UUID}", "", id="smbios of another type"),
        pytest.param(
            f"qemu-kvm -smbios type=1,uuid=00000000-0000-0000-0000-000000000001 -uuid {UUID}", UUID, id="both"
        ),
        pytest.param("qemu-system-x86_64 -uuid nonsense", "", id="not a uuid"),
        pytest.param(
            f"cloud-hypervisor --platform num_pci_segments=2,uuid={UUID}", UUID, id="cloud-hypervisor"
        ),
        pytest.param(f"qemu-system-x86_64 -append -uuid -uuid {UUID}", UUID, id="in another option's value"),
        pytest.param(
            f"qemu-system-x86_64 -smbios first,type=1,uuid={UUID}", UUID, id="smbios item without a key"
        ),
        pytest.param(f"cloud-hypervisor --platform 'uuid=\"{UUID}\"'", UUID, id="cloud-hypervisor quoted"),
        pytest.param("firecracker --id web", "", id="firecracker has none"),
    ],
)
def test_uuid_is_found_and_written_in_one_form(command: str, expected: str) -> None:
    assert name(command).uuid == expected


@pytest.mark.parametrize(
    ("command", "vmm", "expected"),
    [
        pytest.param(
            "firecracker --id=web --api-sock /run/f.sock", "firecracker", "web", id="firecracker id="
        ),
        pytest.param(
            "/usr/bin/firecracker --api-sock /a.sock --id web", "firecracker", "web", id="firecracker id"
        ),
        pytest.param("firecracker --id=a=b", "firecracker", "a=b", id="firecracker equals sign"),
        pytest.param(
            "firecracker --id web -- --id other", "firecracker", "web", id="firecracker end of options"
        ),
        pytest.param("firecracker-v1.7.0-x86_64 --id web", "firecracker", "web", id="firecracker release"),
        pytest.param(
            "firecracker --api-sock /run/vms/web.sock", "firecracker", "web", id="firecracker socket"
        ),
        pytest.param(
            "firecracker --id anonymous-instance --api-sock /vms/web/firecracker.socket",
            "firecracker",
            "web",
            id="firecracker default id",
        ),
        pytest.param(
            "firecracker --api-sock /run/firecracker.socket", "firecracker", "thread", id="firecracker none"
        ),
        pytest.param(
            "cloud-hypervisor --api-socket /run/web.sock", "cloud-hypervisor", "web", id="ch socket"
        ),
        pytest.param(
            "cloud-hypervisor --api-socket path=/run/ch/web.sock",
            "cloud-hypervisor",
            "web",
            id="ch socket path=",
        ),
        pytest.param(
            "cloud-hypervisor --api-socket=/run/web/api.sock", "cloud-hypervisor", "web", id="ch folder"
        ),
        pytest.param("cloud-hypervisor --api-socket fd=3", "cloud-hypervisor", "thread", id="ch descriptor"),
        pytest.param(
            "cloud-hypervisor --api-socket /x --platform oem_strings=[a,serial_number=x],serial_number=web",
            "cloud-hypervisor",
            "web",
            id="ch serial number",
        ),
        pytest.param(
            "cloud-hypervisor-static --api-socket /run/w.sock", "cloud-hypervisor", "w", id="ch static"
        ),
        pytest.param(
            "openvmm --rpc listen,path=/run/vms/a=b.sock", "openvmm", "a=b", id="openvmm equals sign"
        ),
        pytest.param("crosvm run --name web --cid 3 /vmlinux", "crosvm", "web", id="crosvm name"),
        pytest.param(
            "/apex/bin/crosvm --extended-status run --name=web", "crosvm", "web", id="crosvm on Android"
        ),
        pytest.param("crosvm run -s /run/web.sock /vmlinux", "crosvm", "web", id="crosvm -s"),
        pytest.param("crosvm run --socket /run/vm/web/crosvm.sock", "crosvm", "web", id="crosvm folder"),
        pytest.param("lkvm run --name web -k bzImage", "kvmtool", "web", id="kvmtool name"),
        pytest.param(
            "./lkvm-static run -n tap --name=web", "kvmtool", "web", id="kvmtool network is no name"
        ),
        pytest.param("lkvm run -n tap", "kvmtool", "thread", id="kvmtool none"),
        pytest.param("/usr/bin/python3 guest.py -name web", "thread", "thread", id="a script"),
        pytest.param("./kvm-hello --name x", "thread", "thread", id="a test program"),
        pytest.param("", "thread", "thread", id="no command line"),
    ],
)
def test_each_vmm_gives_its_name_its_own_way(command: str, vmm: str, expected: str) -> None:
    found = name(command)
    assert (found.vmm, found.name) == (vmm, expected)


@pytest.mark.parametrize(
    ("cgroup", "expected"),
    [
        pytest.param(r"0::/machine.slice/machine-qemu\x2d3\x2dweb.scope/libvirt/emulator", "web", id="v2"),
        pytest.param(
            r"0::/machine.slice/machine-qemu\x2d12\x2dweb\x2d1.scope/libvirt/vcpu0", "web-1", id="dash"
        ),
        pytest.param(
            "12:pids:/x.slice\n"
            r"4:cpu,cpuacct:/machine.slice/machine-qemu\x2d3\x2dweb.scope/vcpu1"
            "\n1:name=systemd:/y",
            "web",
            id="v1",
        ),
        pytest.param("4:memory:/machine/qemu-3-web-1.libvirt-qemu", "web-1", id="without systemd"),
        pytest.param(r"0::/gold.slice/machine-qemu\x2d1\x2dweb.scope", "web", id="own partition"),
        pytest.param(
            r"0::/../machine.slice/machine-qemu\x2d1\x2dweb.scope", "web", id="seen from a container"
        ),
        pytest.param(r"0::/machine.slice/machine-ch\x2d1\x2dweb.scope", "web", id="libvirt's other driver"),
    ],
)
def test_libvirt_names_the_cgroup_of_a_process_that_shows_no_command_line(cgroup: str, expected: str) -> None:
    assert name_vm([], cgroup, "qemu-system-x86") == Naming(expected, "", "qemu", "libvirt")


@pytest.mark.parametrize(
    "cgroup",
    [
        r"0::/machine.slice/machine-fedora.scope",
        "0::/system.slice/qemu.service",
        r"0::/machine.slice/machine-lxc\x2d1\x2dweb.scope",
        "nonsense",
        "",
    ],
)
def test_other_cgroups_are_not_libvirts(cgroup: str) -> None:
    assert name_vm([], cgroup, "qemu-kvm") == Naming("qemu-kvm", "", "qemu", "", is_comm=True)


def test_libvirts_command_line_is_preferred_to_its_lossy_cgroup() -> None:
    found = name(
        f"/usr/bin/qemu-system-x86_64 -name guest='web (new)',debug-threads=on -S -uuid {UUID}",
        r"0::/machine.slice/machine-qemu\x2d3\x2dwebnew.scope/libvirt/emulator",
    )
    assert found == Naming("web (new)", UUID, "qemu", "libvirt")


def test_libvirt_is_recognised_by_its_folders_where_the_cgroup_says_nothing() -> None:
    found = name(
        "qemu-kvm -name guest=web -chardev socket,path=/var/lib/libvirt/qemu/domain-1-web/monitor.sock"
    )
    assert (found.name, found.manager) == ("web", "libvirt")


def test_a_disk_in_libvirts_image_folder_does_not_make_it_libvirts() -> None:
    assert name("qemu-system-x86_64 -name web -drive file=/var/lib/libvirt/images/web.img").manager == ""


def test_jailer_shows_in_its_options() -> None:
    found = name("/firecracker --id web --start-time-us 17 --start-time-cpu-us 5")
    assert found == Naming("web", "", "firecracker", "jailer")


def test_jailers_cgroup_names_a_vm_without_a_command_line() -> None:
    found = name_vm([], "4:memory:/firecracker/551e7604\n0::/", "firecracker")
    assert found == Naming("551e7604", "", "firecracker", "jailer")


def test_a_systemd_service_is_not_a_jail() -> None:
    assert name("firecracker --id web", "0::/system.slice/web.service").manager == ""


@pytest.mark.parametrize(
    ("command", "cgroup"),
    [
        pytest.param(f"qemu-system-x86_64 -name sandbox-{SANDBOX},debug-threads=on", "", id="qemu"),
        pytest.param(
            f"cloud-hypervisor --api-socket /run/vc/vm/{SANDBOX}/clh-api.sock", "", id="cloud-hypervisor"
        ),
        pytest.param("qemu-system-x86_64", f"0::/kubepods/besteffort/pod1/kata_{SANDBOX}\n", id="cgroup"),
        pytest.param("qemu-system-x86_64", f"4:memory:/kata_overhead/{SANDBOX}\n", id="overhead cgroup"),
    ],
)
def test_kata_names_a_vm_after_its_sandbox(command: str, cgroup: str) -> None:
    found = name(command, cgroup)
    assert (found.name, found.manager) == (SANDBOX, "kata")


def test_an_ordinary_name_that_begins_like_katas_stays() -> None:
    assert name("qemu-system-x86_64 -name sandbox-dev") == Naming("sandbox-dev", "", "qemu", "")


def test_kubevirt_names_a_vm_after_namespace_and_instance() -> None:
    found = name("/usr/libexec/qemu-kvm -name guest=prod_web-1,debug-threads=on", POD)
    assert found == Naming("prod/web-1", "", "qemu", "kubevirt")


def test_kubevirt_shows_in_the_command_line_too() -> None:
    found = name(
        "qemu-kvm -name guest=prod_web -chardev socket,path=/var/run/kubevirt-private/1/virt-serial0"
    )
    assert (found.name, found.manager) == ("prod/web", "kubevirt")


def test_an_underscore_alone_is_not_kubevirts() -> None:
    assert name("qemu-kvm -name guest=prod_web") == Naming("prod_web", "", "qemu", "")


def test_a_script_is_named_after_its_comm() -> None:
    assert name("/usr/bin/python3 firecracker.py", comm="python3") == Naming(
        "python3", "", "python3", "", is_comm=True
    )


def test_comm_shows_the_vmm_behind_a_loader() -> None:
    assert name("/lib64/ld-linux-x86-64.so.2 qemu-kvm -name web", comm="qemu-kvm").name == "web"


def test_a_long_name_is_cut_to_what_the_wire_carries() -> None:
    found = name("qemu-kvm -name " + "x" * 5000).name
    assert (len(found), found[-2:]) == (256, "x…")


def test_control_characters_do_not_reach_a_name() -> None:
    assert name_vm(["qemu-kvm", "-name", "a\nb\x1b[31m"], "", "").name == "a\ufffdb\ufffd[31m"


WORDS = st.sampled_from(
    [
        "qemu-kvm",
        "-name",
        "guest=",
        "-uuid",
        "--api-socket",
        "path=",
        "[",
        '"',
        ",,",
        "=",
        "sandbox-",
        "\\x2d",
        "/",
    ]
)


@given(
    command=st.lists(st.one_of(st.text(), st.lists(WORDS).map("".join))),
    cgroup=st.one_of(st.text(), st.lists(WORDS).map("0::/machine-qemu".join)),
    comm=st.one_of(
        st.text(max_size=16), st.sampled_from(["qemu-kvm", "firecracker", "crosvm", "cloud-hyperviso"])
    ),
)
def test_whatever_a_process_shows_gives_a_name_that_the_wire_carries(
    command: list[str], cgroup: str, comm: str
) -> None:
    found = name_vm(command, cgroup, comm)
    texts = (found.name, found.uuid, found.vmm, found.manager)
    assert max(len(text) for text in texts) <= 256
    assert len(command_text(command)) <= 1024
    assert "\0" not in "".join(texts)


@pytest.mark.parametrize(
    "value",
    ["[" * 250_000, "a-" * 125_000, "," * 250_000, "password" * 31_000, '"' * 250_000, "a_" * 125_000],
    ids=lambda value: value[:2],
)
def test_a_command_line_made_to_be_slow_is_read_quickly(value: str) -> None:
    began = time.process_time()
    for command in (["qemu-kvm", "-name", value], ["cloud-hypervisor", "--platform", value]):
        name_vm(command, f"0::/machine-{value}", "x")
    assert time.process_time() - began < 1
