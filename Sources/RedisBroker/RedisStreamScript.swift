/// The scripts by which a stream is read. They are short, and sent as text.
enum RedisStreamScript {
    /// KEYS: lease. ARGV: the node, the life of the lease in milliseconds. The answer is the node that has the lease. A
    /// full server still lets it be renewed.
    static let lease = #"""
        local h=redis.call('GET',KEYS[1])
        if h==ARGV[1] then redis.call('PEXPIRE',KEYS[1],ARGV[2]) return h end
        if h then return h end
        redis.call('SET',KEYS[1],ARGV[1],'PX',ARGV[2])
        return ARGV[1]
        """#

    /// KEYS: lease. ARGV: the node.
    static let release = #"""
        if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('DEL',KEYS[1]) end
        return 0
        """#

    /// KEYS: stream. ARGV: group, consumer, the ID behind which to begin, the most records, the most bytes, the size of
    /// the largest record, the most fields of one. The answer is the records that are not acknowledged, each as its ID and
    /// its fields; or its ID and its size, if it is too large; or its ID and null, if it has been deleted.
    static let pending = #"""
        local found,bytes,after={},0,ARGV[3]
        while #found<tonumber(ARGV[4]) and bytes<tonumber(ARGV[5]) do
          local r=redis.call('XREADGROUP','GROUP',ARGV[1],ARGV[2],'COUNT',1,'STREAMS',KEYS[1],after)
          local e=r and r[1] and r[1][2][1]
          if not e then break end
          after=e[1]
          if e[2] then
            local size=0
            for _,v in ipairs(e[2]) do size=size+#v end
            bytes=bytes+size
            if size>tonumber(ARGV[6]) or #e[2]/2>tonumber(ARGV[7]) then e[2]=size end
          end
          found[#found+1]=e
        end
        return found
        """#

    /// KEYS: stream, stream for dead letters. ARGV: group, ID, the reason. The record is copied with the reason, and
    /// acknowledged. One with very many fields is copied without them: a script can't hand over more.
    static let reject = #"""
        local e=redis.call('XRANGE',KEYS[1],ARGV[2],ARGV[2])[1]
        if e then
          local a={'XADD',KEYS[2],'MAXLEN','~','10000','*'}
          if #e[2]<=4000 then for _,v in ipairs(e[2]) do a[#a+1]=v end end
          for _,v in ipairs({'wsd-record',ARGV[2],'wsd-reason',ARGV[3]}) do a[#a+1]=v end
          redis.call(unpack(a))
        end
        return redis.call('XACK',KEYS[1],ARGV[1],ARGV[2])
        """#
}
