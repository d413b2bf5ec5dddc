//! The numbers of messages.

use crate::Malformed;

/// What a message is; the number is on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
#[expect(missing_docs, reason = "blktap's own words; a request's answer is the request's name with Rsp")]
pub enum Kind {
    Error = 1,
    RuntimeError = 2,
    Pid = 3,
    PidRsp = 4,
    Attach = 5,
    AttachRsp = 6,
    Open = 7,
    OpenRsp = 8,
    Pause = 9,
    PauseRsp = 10,
    Resume = 11,
    ResumeRsp = 12,
    Close = 13,
    CloseRsp = 14,
    Detach = 15,
    DetachRsp = 16,
    ListMinors = 17,
    ListMinorsRsp = 18,
    List = 19,
    ListRsp = 20,
    Stats = 21,
    StatsRsp = 22,
    ForceShutdown = 23,
    XenblkifConnect = 24,
    XenblkifConnectRsp = 25,
    XenblkifDisconnect = 26,
    XenblkifDisconnectRsp = 27,
    DiskInfo = 28,
    DiskInfoRsp = 29,
    Exit = 30,
}

const ALL: [Kind; 30] = {
    use Kind::*;
    [
        Error,
        RuntimeError,
        Pid,
        PidRsp,
        Attach,
        AttachRsp,
        Open,
        OpenRsp,
        Pause,
        PauseRsp,
        Resume,
        ResumeRsp,
        Close,
        CloseRsp,
        Detach,
        DetachRsp,
        ListMinors,
        ListMinorsRsp,
        List,
        ListRsp,
        Stats,
        StatsRsp,
        ForceShutdown,
        XenblkifConnect,
        XenblkifConnectRsp,
        XenblkifDisconnect,
        XenblkifDisconnectRsp,
        DiskInfo,
        DiskInfoRsp,
        Exit,
    ]
};

impl Kind {
    /// The number on the wire.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// What blktap's logs call it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Error => "error",
            Kind::RuntimeError => "runtime error",
            Kind::Pid => "pid",
            Kind::PidRsp => "pid response",
            Kind::Attach => "attach",
            Kind::AttachRsp => "attach response",
            Kind::Open => "open",
            Kind::OpenRsp => "open response",
            Kind::Pause => "pause",
            Kind::PauseRsp => "pause response",
            Kind::Resume => "resume",
            Kind::ResumeRsp => "resume response",
            Kind::Close => "close",
            Kind::CloseRsp => "close response",
            Kind::Detach => "detach",
            Kind::DetachRsp => "detach response",
            Kind::ListMinors => "list minors",
            Kind::ListMinorsRsp => "list minors response",
            Kind::List => "list",
            Kind::ListRsp => "list response",
            Kind::Stats => "stats",
            Kind::StatsRsp => "stats response",
            Kind::ForceShutdown => "force shutdown",
            Kind::XenblkifConnect => "sring connect",
            Kind::XenblkifConnectRsp => "sring connect rsp",
            Kind::XenblkifDisconnect => "sring disconnect",
            Kind::XenblkifDisconnectRsp => "sring disconnect rsp",
            Kind::DiskInfo => "disk info",
            Kind::DiskInfoRsp => "disk info rsp",
            Kind::Exit => "exit",
        }
    }
}

impl TryFrom<u16> for Kind {
    type Error = Malformed;

    fn try_from(number: u16) -> Result<Self, Malformed> {
        let kind = number.checked_sub(1).and_then(|index| ALL.get(usize::from(index)));
        kind.copied().ok_or_else(|| Malformed::new(format!("{number} is no message type")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_enum() {
        for number in 1..=30 {
            assert_eq!(Kind::try_from(number).unwrap().number(), number);
        }
        assert!(Kind::try_from(0).is_err() && Kind::try_from(31).is_err());
    }
}
