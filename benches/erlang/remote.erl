%% Messages between two Erlang nodes: the distribution as it comes.
-module(remote).
-export([serve/0, client/1]).

serve() ->
    register(sink, spawn(fun() -> sink(0) end)).

sink(Taken) ->
    receive
        {take, _Bytes} -> sink(Taken + 1);
        {echo, From, Ref, Bytes} -> From ! {Ref, Bytes}, sink(Taken);
        {count, From, Ref} -> From ! {Ref, Taken}, sink(Taken)
    end.

client([ServerText, Workload, BytesText, MillisText]) ->
    Server = {sink, list_to_atom(ServerText)},
    Bytes = binary:copy(<<7>>, list_to_integer(BytesText)),
    Micros = list_to_integer(MillisText) * 1000,
    connect(element(2, Server), 100),
    warm(Server, 100),
    measure(Workload, Server, Bytes, Micros),
    halt(0).

connect(_Node, 0) -> halt(1);
connect(Node, Tries) ->
    case net_adm:ping(Node) of
        pong -> ok;
        pang -> timer:sleep(50), connect(Node, Tries - 1)
    end.

%% The name may be registered a moment after the node is up.
warm(Server, Tries) ->
    Ref = make_ref(),
    Server ! {count, self(), Ref},
    receive
        {Ref, _} -> ok
    after 100 ->
        case Tries of
            0 -> halt(1);
            _ -> warm(Server, Tries - 1)
        end
    end.

measure("tell", Server, Bytes, Micros) ->
    io:format("rate ~f~n", [rate(Server, Bytes, Micros, 1000)]);
measure("ask-1", Server, Bytes, Micros) ->
    print(latencies(Server, Bytes, Micros));
measure("ask-64", Server, Bytes, Micros) ->
    Me = self(),
    Clients = [spawn(fun() -> Me ! {self(), latencies(Server, Bytes, Micros)} end)
               || _ <- lists:seq(1, 64)],
    [receive {Client, All} -> print(All) end || Client <- Clients];
measure("ask-beside-large", Server, Bytes, Micros) ->
    Large = binary:copy(<<7>>, 64 * 1024 * 1024),
    Server ! {take, Large},
    call(Server, count),
    [begin
         print("us-alone", latencies(Server, Bytes, Micros div 4)),
         Sender = spawn_link(fun() -> send_large(Server, Large) end),
         Beside = latencies(Server, Bytes, Micros div 4),
         Sender ! {stop, self()},
         receive stopped -> ok end,
         print("us", Beside)
     end || _ <- lists:seq(1, 4)].

send_large(Server, Large) ->
    Server ! {take, Large},
    call(Server, count),
    receive {stop, From} -> From ! stopped
    after 0 -> send_large(Server, Large)
    end.

rate(Server, Bytes, Micros, Count) ->
    Since = erlang:monotonic_time(microsecond),
    tell(Server, Bytes, Count),
    call(Server, count),
    Took = erlang:monotonic_time(microsecond) - Since,
    if
        Took >= Micros -> Count * 1000000.0 / Took;
        Took * 8 < Micros -> rate(Server, Bytes, Micros, Count * 8);
        true -> rate(Server, Bytes, Micros, Count * 2)
    end.

tell(_Server, _Bytes, 0) -> ok;
tell(Server, Bytes, Count) ->
    Server ! {take, Bytes},
    tell(Server, Bytes, Count - 1).

latencies(Server, Bytes, Micros) ->
    latencies(Server, Bytes, erlang:monotonic_time(microsecond) + Micros, []).

latencies(Server, Bytes, Until, All) ->
    Since = erlang:monotonic_time(nanosecond),
    call(Server, {echo, Bytes}),
    Now = erlang:monotonic_time(nanosecond),
    case Now div 1000 >= Until of
        true -> [Now - Since | All];
        false -> latencies(Server, Bytes, Until, [Now - Since | All])
    end.

call(Server, Request) ->
    Ref = make_ref(),
    case Request of
        count -> Server ! {count, self(), Ref};
        {echo, Bytes} -> Server ! {echo, self(), Ref, Bytes}
    end,
    receive {Ref, Answer} -> Answer end.

print(All) -> print("us", All).

print(Kind, All) ->
    io:put_chars([io_lib:format("~s ~f~n", [Kind, Nanos / 1000]) || Nanos <- All]).
