"""The numbers and words of the fact sheet `pivot.md`, with the sections (4) and assumptions (V-4) they come from.

Only data. Never decides anything: what a fact means for a request or a payout is said where it is used.
"""

import re
from dataclasses import dataclass

from providers.sandbox import scenarios
from providers.sandbox.webhooks import RetryPolicy

TOKEN_TTL_MS = 900_000  # section 2: 15 minutes
REQUEST_ID_TTL_MS = 24 * 3600 * 1000  # section 9
REQUEST_ID = re.compile(r"[A-Za-z0-9]{16,36}")  # section 4: no dashes
WHOLE_RUPIAH = re.compile(r"[1-9][0-9]{0,17}")  # section 4: a text, never a number
DESCRIPTION = re.compile(r"[A-Za-z0-9]{1,20}")  # section 4: the strict reading of the conflict
MAX_ROWS = 1000
MIN_RUPIAH = 10_000  # V-3
DONE_AFTER_MS = 1000  # section 12: about a second in the sample
TIMEOUT_HIDDEN_MS = 60_000  # V-7
START_BALANCE = 1_000_000_000_000
BANK_NAME = "Dummy Simulation"  # section 8
SHORT_OF_FUNDS = "Insufficient Balance"  # section 5: seen on APPROVED rows

RETRIES = RetryPolicy(  # section 10
    waits_s=(300, 900, 3600, 3 * 3600, 6 * 3600, 12 * 3600),
    timeout_s=10,
    accepted=lambda status: status == 200,
    retried=lambda status: status is None or status >= 500 or status in (408, 429),
)

# Section 12: any other account number is paid.
MAGIC_ACCOUNTS: dict[str, tuple[str, str]] = {
    "999966660001": ("SUCCESS", ""),
    "999966660002": ("FAILED", "Inactive account"),
    "999966660003": ("FAILED", "Invalid account"),
    "999966660006": ("FAILED", "Dormant account"),
}
NO_FUNDS_ACCOUNT = "999966660007"
TIMEOUT_ACCOUNT = "999966660008"
UNKNOWN_ACCOUNT = "999966660003"  # an inquiry finds nothing

# REJECTED is listed and never seen (section 6), RETURNED is V-5: only the control surface brings these about.
FINAL_ROW_WORDS = frozenset({"SUCCESS", "FAILED", "CANCELLED", "REJECTED", "RETURNED"})
ROW_WORDS = FINAL_ROW_WORDS | {"PENDING", "APPROVED"}
# PROCESSING stands only in the guide's overview table (section 6).
REQUEST_WORDS = frozenset({"IN_PROGRESS", "PROCESSING", "PENDING", "DONE", "DELAYED", "CANCELLED"})


@dataclass(frozen=True, slots=True)
class Course:
    """What becomes of a row: its last word and reason, and what follows later."""

    word: str
    reason: str = ""
    then: str = ""
    then_reason: str = ""


COURSES = {
    scenarios.PAID: Course("SUCCESS"),
    scenarios.RETURNED: Course("SUCCESS", "", "FAILED", "Unknown Bank Network error"),  # V-5
    scenarios.STUCK: Course("PENDING"),  # section 6: at the partner or bank; here for ever
    scenarios.REJECTED: Course("FAILED", "Invalid account"),
    scenarios.FAILED: Course("FAILED", "Failed to process by Bank Network"),
    scenarios.NO_FUNDS: Course("SUCCESS"),  # what becomes of it after a top-up; until then the whole request waits
    scenarios.LIMIT: Course("FAILED", "Declined due to beneficiary limit"),
    scenarios.CANCELLED: Course("CANCELLED"),
}

# Where a body tells the amount, the currency and our reference.
ECHO_NAMES = {"amount": frozenset({"value"}), "currency": frozenset({"currency"}), "reference": frozenset({"referenceId"})}
# Scenario -> the documented test value that asks for the same.
ALSO_BY = {
    scenarios.PAID: "account 999966660001",
    scenarios.REJECTED: "account 999966660003 (0002 inactive, 0006 dormant)",
    scenarios.NO_FUNDS: "account 999966660007, or an amount above the balance",
    "error_but_paid": "account 999966660008",
}

HISTORY_MONTHS_MS = 183 * 24 * 3600 * 1000  # section 3: up to six months back
HISTORY_SPAN_MS = 31 * 24 * 3600 * 1000

# Section 11.
CHANNELS = frozenset(
    """
    BRI EXIMBANK MANDIRI BNI DANAMON DANAMON_UUS PERMATA PERMATA_UUS BCA MAYBANK PANIN ARTA_NIAGA_KENCANA CIMB CIMB_SYR
    CIMB_UUS UOB TMRW LIPPO OCBC OCBC_UUS DANAGUNG_ABADI DANAGUNG_BAKTI DANAGUNG_RAMULTI AMEX CITIBANK JPMORGAN BAML ING
    CCB MULTICOR ARTHA CREDIT_AGRICOLE BANGKOK_BANK MUFG SUMITOMO DBS DIGIBANK RESONA MIZUHO STANDARD_CHARTERED ABN_AMRO
    KEPPEL CAPITAL BNP_PARIBAS KEB_INDONESIA RABOBANK ANZ DEUTSCHE WOORI BOC BUMI_ARTA HSBC HSBC_UUS ANTARDAERAH HAGA IFI
    JTRUST MAYAPADA BJB DKI DKI_UUS DAERAH_ISTIMEWA DAERAH_ISTIMEWA_UUS JAWA_TENGAH JAWA_TENGAH_UUS JAWA_TIMUR
    JAWA_TIMUR_UUS JAMBI JAMBI_UUS ACEH ACEH_UUS ACEH_SYR SUMUT SUMUT_UUS SUMATERA_BARAT SUMATERA_BARAT_UUS
    KALIMANTAN_TIMUR KALIMANTAN_TIMUR_UUS RIAU_DAN_KEPRI RIAU_DAN_KEPRI_UUS SUMSEL_DAN_BABEL SUMSEL_DAN_BABEL_UUS LAMPUNG
    KALIMANTAN_SELATAN KALIMANTAN_SELATAN_UUS KALIMANTAN_BARAT KALIMANTAN_BARAT_UUS KALIMANTAN_TENGAH SULSELBAR
    SULSELBAR_UUS SULUT NUSA_TENGGARA_BARAT NUSA_TENGGARA_BARAT_UUS BALI NUSA_TENGGARA_TIMUR MALUKU PAPUA BENGKULU
    SULAWESI SULAWESI_TENGGARA BANTEN NUSANTARA_PARAHYANGAN INDIA MUAMALAT MESTIKA_DHARMA SHINHAN SINARMAS SINARMAS_UUS
    MASPION HAGAKITA GANESHA WINDU_KENTJANA ICBC HARMONI QNB_INDONESIA BTN BTN_UUS HIMPUNAN_SAUDARA WOORI_SAUDARA
    SMBC_INDONESIA JENIUS TABUNGAN_PENSIUNAN_NASIONAL KOP_INTIDANA SWAGUNA VICTORIA_SYR BRI_SYR BJB_SYR MEGA BNI_SYR
    BUKOPIN BSI BISNIS_INTERNASIONAL ANDARA JASA_JAKARTA HANA MNC_INTERNASIONAL BNC MITRANIAGA AGRONIAGA SBI_INDONESIA
    BCA_DIGITAL NATIONALNOBU MEGA_SYR INA_PERDANA PANIN_SYR PRIMA_MASTER BUKOPIN_SYR SAHABAT_SAMPOERNA BARCLAYS
    DINAR_INDONESIA OKE ANGLOMAS AMAR SEABANK BCA_SYR JAGO BTPN_SYARIAH MULTI_ARTA_SENTOSA MAS MAYORA INDEX_SELINDO PUNDI
    CNB FAMA MANDIRI_TASPEN VICTORIA_INTERNASIONAL HARDA_INTERNASIONAL SUPRA MANDIRI_BPR KS EKA IBK AGRIS MERINCORP
    ALADIN OCBC_INDONESIA CTBC COMMONWEALTH GOPAY OVO SHOPEEPAY DANA LINKAJA
    """.split()  # noqa: SIM905 - two hundred pairs of quotes would help nobody
)
