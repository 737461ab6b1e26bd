//! Dumps cut in every place.

use super::*;

const DUMP: &str = r#"-- MariaDB dump 10.19
/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */;
CREATE TABLE `a``b` (
  `id` int NOT NULL,
  `t` text DEFAULT 'x',
  PRIMARY KEY (`id`),
  KEY `k` (`t`),
  CONSTRAINT `f` FOREIGN KEY (`t`) REFERENCES `c` (`t`)
) ENGINE=InnoDB;
INSERT INTO `a``b` VALUES
(1,'it\'s (a) \\'),
(2,'two);'),
(3,0x2827);
INSERT INTO `a``b` (`id`, `V\`, row_start) VALUES (4,''''),(5,_binary 'x');
CREATE SEQUENCE `s` start with 1;
DELIMITER ;;
/*!50003 CREATE*/ /*!50017 DEFINER=`root`@`localhost`*/ /*!50003 trigger tr before insert on a
INSERT INTO `no` VALUES (1);
-- Dump completed on never
*/;;
DELIMITER ;
DELIMITER ;;
/*!50106 CREATE*/ /*!50117 DEFINER=`r`@`h`*/ /*!50106 EVENT `e` ON SCHEDULE */ ;;
DELIMITER ;;
/*!50106 CREATE*/ /*!50117 DEFINER=`r`@`h`*/ /*!50106 EVENT `f` ON SCHEDULE */ ;;
DELIMITER ;
DELIMITER ;;
CREATE DEFINER=`r`@`h` PROCEDURE `p`()
CREATE DEFINER=`r`@`h` FUNCTION `no`()
;;
DELIMITER ;
DELIMITER ;;
CREATE DEFINER="r"@"h" PACKAGE BODY "k" as begin null; end
;;
DELIMITER ;
/*!50001 VIEW `v` AS select 1 */;
-- Dump completed on 2026-01-01
"#;

fn seen(scan: &Scan) -> Vec<(&str, u64)> {
    scan.objects
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(kind, count)| (kind.as_str(), *count))
        .collect()
}

#[test]
fn every_object_and_row_is_counted_wherever_the_bytes_are_cut() {
    let expected = [
        ("columns", 2),
        ("events", 2),
        ("foreign keys", 1),
        ("indexes", 2),
        ("package bodies", 1),
        ("procedures", 1),
        ("sequences", 1),
        ("tables", 1),
        ("triggers", 1),
        ("views", 1),
    ];
    for length in [1, 2, 3, 5, 7, 11, 64, 1000, DUMP.len()] {
        let mut scan = Scan::default();
        DUMP.as_bytes().chunks(length).for_each(|part| scan.feed(part));
        assert_eq!(seen(&scan), expected, "in pieces of {length}");
        assert_eq!(scan.rows, BTreeMap::from([("a`b".to_owned(), 5)]), "in pieces of {length}");
        assert!(scan.has_end_mark() && scan.past_header());
    }
}

#[test]
fn dump_cut_off_anywhere_has_no_end_mark() {
    for length in 0..DUMP.len() {
        let mut scan = Scan::default();
        scan.feed(&DUMP.as_bytes()[..length]);
        assert!(!scan.has_end_mark(), "cut at {length}");
    }
    let mut scan = Scan::default();
    scan.feed(DUMP.as_bytes());
    scan.feed(b"INSERT INTO `a` VALUES (1);\n");
    assert!(!scan.has_end_mark(), "something follows it");
}

#[test]
fn header_is_passed_by_the_first_byte_behind_it_alone() {
    let mut scan = Scan::default();
    let end = DUMP.find("CREATE TABLE").expect("a table");
    scan.feed(&DUMP.as_bytes()[..end]);
    assert!(!scan.past_header());
    scan.feed(b"C");
    assert!(scan.past_header());
}

#[test]
fn object_that_names_its_schema_is_told_from_one_that_names_another() {
    let names = |body: &str| {
        let mut scan = Scan::of_schema("shop");
        scan.feed(format!("DELIMITER ;;\n{body}\n;;\nDELIMITER ;\n").as_bytes());
        scan.names_itself()
    };
    assert!(names("delete from shop.log"));
    assert!(names("create trigger `Shop` . `t` before insert"));
    assert!(!names("delete from workshop.log where shop = 1"));
    let mut scan = Scan::of_schema("shop");
    scan.feed(b"INSERT INTO `a` VALUES\n('shop.a');\n");
    assert!(!scan.names_itself(), "a row is no object");
}
