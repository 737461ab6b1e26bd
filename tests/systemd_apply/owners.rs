//! Data of several users, given back by root as theirs.

use super::machine::plan;
use super::*;

#[test]
fn restored_data_belongs_to_those_it_belonged_to() {
    let machine = Machine::boot("owners").with_data();
    machine.sh(
        "useradd -M bob; useradd -M eve; mkdir -p /srv/all/bob /srv/all/eve; cd /srv/all; \
         echo b >bob/secret; echo e >eve/open; echo x >eve/program; ln -s open eve/link; mkfifo eve/pipe; \
         chown -R bob:bob bob; chown -R eve:eve eve; chown -h bob:eve eve/link; chmod 0700 bob; chmod 0400 bob/secret; \
         chmod 2775 eve; chmod 4755 eve/program; touch -d '2001-02-03 04:05:06.123456789' bob/secret; setfacl -m u:bob:r eve/open",
    );
    machine.write_plan(&plan("home", "daily 03:00", "  all: { type: files, paths: [/srv/all] }\n"));
    machine.converge();
    machine.bkp(&["restore", "all", "--to", "/srv/back"]).ended(0);
    let listed = |folder: &str| {
        machine
            .sh(&format!("cd {folder}; find . -printf '%p %y %U:%G %m %s %T@ %l\\n' | sort; find . ! -type l -print0 | sort -z | xargs -0 getfacl -n "))
    };
    assert_eq!(listed("/srv/back/srv/all"), listed("/srv/all"));
    assert!(listed("/srv/all").contains("4755"));
}
