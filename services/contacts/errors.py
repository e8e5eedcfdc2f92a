"""What the contacts service refuses."""

from kit.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted, Unavailable


class ContactNotFound(NotFound):
    """The merchant has no such contact."""


class PhoneTaken(AlreadyExists):
    """The merchant already has a contact with this phone."""


class PhoneInvalid(InvalidArgument):
    """The phone is no valid number, neither with its country code nor as a number of the merchant's country."""


class ContactInvalid(InvalidArgument):
    """A field of the contact is too long or not of its form."""


class TooManyContacts(InvalidArgument):
    """There are too many contacts in one call."""


class ListNotFound(NotFound):
    """The merchant has no such list."""


class ListInvalid(InvalidArgument):
    """A field of the list is empty, too long or not of its form."""


class ListNameTaken(AlreadyExists):
    """The merchant already has a list of this name."""


class ConsentInvalid(InvalidArgument):
    """What is said of the consent is too long or not of its form."""


class FormNotFound(NotFound):
    """There is no such form."""


class FormInvalid(InvalidArgument):
    """A field of the form is empty, too long or not of its form."""


class FormBusy(ResourceExhausted):
    """This form was filled in too often within the hour; try again later."""


class SignUpNotFound(NotFound):
    """There is nothing to confirm here, or no more."""


class OptedOut(FailedPrecondition):
    """The person opted out; a merchant can't undo that."""


class AccountsUnavailable(Unavailable):
    """The merchant's country and time zone can't be asked now; try again, or write a phone with its country code."""


class ImportNotFound(NotFound):
    """The merchant has no such import."""


class ImportEmpty(InvalidArgument):
    """The file has no rows."""


class ImportBrokenOff(InvalidArgument):
    """The file broke off before its end; nothing of it was stored."""


class ImportTooLarge(InvalidArgument):
    """The file is too large; import it in parts."""


class ImportInvalid(InvalidArgument):
    """A parameter of the import is too long or not of its form."""


class ImportOver(FailedPrecondition):
    """The import is over; there is nothing left to cancel."""


class FileUnsupported(InvalidArgument):
    """The file is neither CSV nor XLSX."""


class SpreadsheetInvalid(InvalidArgument):
    """The spreadsheet can't be read; save it as CSV UTF-8, or in parts."""


class EncodingInvalid(InvalidArgument):
    """The file is no text in UTF-8, UTF-16 or Windows-1253; save it as CSV UTF-8."""


class HeaderInvalid(InvalidArgument):
    """The first line of the file does not name its columns as they are needed."""


class DuplicateColumn(InvalidArgument):
    """Two columns of the file mean the same."""


class SegmentNotFound(NotFound):
    """The merchant has no such segment."""


class SegmentInvalid(InvalidArgument):
    """A field of the segment is empty, too long or not of its form."""


class SegmentNameTaken(AlreadyExists):
    """The merchant already has a segment of this name."""


class SegmentReadOnly(FailedPrecondition):
    """The segment is one of ours: it can't be changed or removed."""


class RuleInvalid(InvalidArgument):
    """A node of the rule is wrong."""


class AudienceInvalid(InvalidArgument):
    """An audience names exactly one of all, a segment, a rule and lists."""


class FieldUnknown(InvalidArgument):
    """There is no such merge field."""


class AudiencePageSizeInvalid(InvalidArgument):
    """The page size is out of bounds."""


class TooManyPhones(InvalidArgument):
    """There are too many phones in one call."""
